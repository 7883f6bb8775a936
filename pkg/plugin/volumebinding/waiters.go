package volumebinding

import (
	"sync"

	v1 "k8s.io/api/core/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// kind is what a waiter can wait for.
type kind string

const (
	podKind   kind = "pod"
	nodeKind  kind = "node"
	claimKind kind = "claim"
)

// key names an object; namespace is empty for nodes.
type key struct {
	kind            kind
	namespace, name string
}

// podAndClaims is what decides on a pod's binding. A volume counts as its claim.
func podAndClaims(pod *v1.Pod, claims []*v1.PersistentVolumeClaim) []key {
	keys := []key{{podKind, pod.Namespace, pod.Name}, {nodeKind, "", pod.Spec.NodeName}}
	for _, claim := range claims {
		keys = append(keys, key{claimKind, claim.Namespace, claim.Name})
	}
	return keys
}

// waiters tells pods in PreBind that something changed. An event without a waiter costs one look into a map.
// Safe for concurrent use.
type waiters struct {
	mu    sync.Mutex
	byKey map[key]map[chan<- struct{}]struct{}
}

func newWaiters() *waiters {
	return &waiters{byKey: map[key]map[chan<- struct{}]struct{}{}}
}

// add returns a channel with a token whenever any of the objects changed since the last token was taken, and a function
// that ends this.
func (w *waiters) add(keys []key) (<-chan struct{}, func()) {
	changed := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range keys {
		if w.byKey[k] == nil {
			w.byKey[k] = map[chan<- struct{}]struct{}{}
		}
		w.byKey[k][changed] = struct{}{}
	}
	return changed, func() { w.remove(keys, changed) }
}

func (w *waiters) remove(keys []key, changed chan<- struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range keys {
		delete(w.byKey[k], changed)
		if len(w.byKey[k]) == 0 {
			delete(w.byKey, k)
		}
	}
}

func (w *waiters) wake(k key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for changed := range w.byKey[k] {
		select {
		case changed <- struct{}{}:
		default:
			// A token is there already.
		}
	}
}

// listen wakes by the informers' events; what the listers then say includes them.
func (w *waiters) listen(core coreinformers.Interface) error {
	for _, source := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		// Of pods only the end matters.
		{core.Pods().Informer(), cache.ResourceEventHandlerFuncs{DeleteFunc: w.onChange}},
		{core.Nodes().Informer(), w.onAny()},
		{core.PersistentVolumeClaims().Informer(), w.onAny()},
		{core.PersistentVolumes().Informer(), w.onAny()},
	} {
		if _, err := source.informer.AddEventHandler(source.handler); err != nil {
			return err
		}
	}
	return nil
}

func (w *waiters) onAny() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    w.onChange,
		UpdateFunc: func(_, object any) { w.onChange(object) },
		DeleteFunc: w.onChange,
	}
}

func (w *waiters) onChange(object any) {
	if unseen, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unseen.Obj
	}
	switch object := object.(type) {
	case *v1.Pod:
		w.wake(key{podKind, object.Namespace, object.Name})
	case *v1.Node:
		w.wake(key{nodeKind, "", object.Name})
	case *v1.PersistentVolumeClaim:
		w.wake(key{claimKind, object.Namespace, object.Name})
	case *v1.PersistentVolume:
		if claim := object.Spec.ClaimRef; claim != nil {
			w.wake(key{claimKind, claim.Namespace, claim.Name})
		}
	}
}
