package csi

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// byNode indexes LogicalVolumes by spec.nodeName.
const byNode = "node"

// volumeWatch is one informer of LogicalVolumes shared by all calls, each of which follows one volume. Nothing polls.
type volumeWatch struct {
	informer cache.SharedIndexInformer
	lister   client.Lister[*v1alpha1.LogicalVolume]

	mu        sync.Mutex
	followers map[string]map[*follower]struct{}
}

// newVolumeWatch prepares an informer that has not been started.
func newVolumeWatch(informer cache.SharedIndexInformer) (*volumeWatch, error) {
	w := &volumeWatch{
		informer:  informer,
		lister:    client.LogicalVolumeLister(informer),
		followers: map[string]map[*follower]struct{}{},
	}
	err := informer.AddIndexers(cache.Indexers{byNode: func(object any) ([]string, error) {
		return []string{object.(*v1alpha1.LogicalVolume).Spec.NodeName}, nil
	}})
	if err != nil {
		return nil, fmt.Errorf("index LogicalVolumes by node: %w", err)
	}
	if _, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { w.tell(object.(*v1alpha1.LogicalVolume), false) },
		UpdateFunc: w.updated,
		DeleteFunc: w.deleted,
	}); err != nil {
		return nil, fmt.Errorf("watch LogicalVolumes: %w", err)
	}
	return w, nil
}

// cached finds a volume in the informer's cache; it may be old.
func (w *volumeWatch) cached(volumeID string) (*v1alpha1.LogicalVolume, bool) {
	lv, err := w.lister.Get(volumeID)
	return lv, err == nil
}

// onNode returns the volumes of a node as cached.
func (w *volumeWatch) onNode(nodeName string) []*v1alpha1.LogicalVolume {
	objects, err := w.informer.GetIndexer().ByIndex(byNode, nodeName)
	if err != nil {
		// The index was added before the informer started.
		panic(err)
	}
	volumes := make([]*v1alpha1.LogicalVolume, 0, len(objects))
	for _, object := range objects {
		volumes = append(volumes, object.(*v1alpha1.LogicalVolume))
	}
	return volumes
}

func (w *volumeWatch) updated(before, after any) {
	old, lv := before.(*v1alpha1.LogicalVolume), after.(*v1alpha1.LogicalVolume)
	// After a broken watch, a deletion and a new creation come as one update.
	if old.UID != lv.UID {
		w.tell(old, true)
	}
	w.tell(lv, false)
}

func (w *volumeWatch) deleted(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	if lv, ok := object.(*v1alpha1.LogicalVolume); ok {
		w.tell(lv, true)
	}
}

func (w *volumeWatch) tell(lv *v1alpha1.LogicalVolume, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for f := range w.followers[lv.Name] {
		f.tell(lv, gone)
	}
}

// follow begins to note what happens to the object of that name. Begun before the caller's first request to the API
// server, it misses nothing that happens after that request. The caller calls stop.
func (w *volumeWatch) follow(name string) *follower {
	f := &follower{watch: w, name: name, changed: make(chan struct{}, 1), seen: map[types.UID]sighting{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.followers[name] == nil {
		w.followers[name] = map[*follower]struct{}{}
	}
	w.followers[name][f] = struct{}{}
	return f
}

// follower holds the last that was seen of each object of one name, told apart by UID: a volume that is deleted and
// made again is another one.
type follower struct {
	watch *volumeWatch
	name  string
	// changed receives after each event; it holds one, so that no event is lost on a slow receiver.
	changed chan struct{}

	mu   sync.Mutex
	seen map[types.UID]sighting
}

type sighting struct {
	volume *v1alpha1.LogicalVolume
	gone   bool
}

func (f *follower) tell(lv *v1alpha1.LogicalVolume, gone bool) {
	f.mu.Lock()
	f.seen[lv.UID] = sighting{lv, gone}
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// last returns the newer of the caller's own copy of an object and what the watch saw of it; gone is true when the
// object was deleted.
func (f *follower) last(own *v1alpha1.LogicalVolume) (lv *v1alpha1.LogicalVolume, gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.seen[own.UID]
	if !ok || !s.gone && older(s.volume, own) {
		return own, false
	}
	return s.volume, s.gone
}

// older says that a was read from the API before b. What cannot be compared is not older.
func older(a, b *v1alpha1.LogicalVolume) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order < 0
}

func (f *follower) stop() {
	f.watch.mu.Lock()
	defer f.watch.mu.Unlock()
	delete(f.watch.followers[f.name], f)
	if len(f.watch.followers[f.name]) == 0 {
		delete(f.watch.followers, f.name)
	}
}
