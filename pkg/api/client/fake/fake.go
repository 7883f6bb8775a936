// Package fake is Berth's API in memory, for tests.
//
// Unlike client-go's object tracker it keeps the rules that the agent and the controller rest on: an update or
// delete with an old resourceVersion or uid conflicts, status and the rest are written apart, the generation grows
// with the spec, field selectors select, and a watch that starts at a resourceVersion misses nothing after it. It
// does not validate: that is for tests against a real API server.
package fake

import (
	"reflect"
	"sync"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Action is one request, as a Hook sees it before it is carried out.
type Action struct {
	// Verb is create, update, update-status, delete, get, list, watch or patch.
	Verb string
	// Resource is nodestorages or logicalvolumes.
	Resource string
	// Name is the object's; empty for list and watch.
	Name string
}

// Hook may refuse a request by returning an error.
type Hook func(Action) error

// Client is an API server in memory and a client of it. Make one with New. Safe for concurrent use.
type Client struct {
	shared         *shared
	nodeStorages   *store[*v1alpha1.NodeStorage, *v1alpha1.NodeStorageList]
	logicalVolumes *store[*v1alpha1.LogicalVolume, *v1alpha1.LogicalVolumeList]
}

var _ client.Interface = &Client{}

// shared is what all resources have in common: one lock, one line of resourceVersions, one hook.
type shared struct {
	mu      sync.Mutex
	version int64
	hook    Hook
	actions []Action
}

// New makes a client with nothing in it.
func New() *Client {
	s := &shared{}
	return &Client{
		shared: s,
		nodeStorages: newStore(s, v1alpha1.NodeStoragesResource.GroupResource(),
			func() *v1alpha1.NodeStorage { return &v1alpha1.NodeStorage{} },
			copyNodeStorageStatus,
			func(*v1alpha1.NodeStorage, *v1alpha1.NodeStorage) bool { return true },
			listNodeStorages,
			func(string, *v1alpha1.NodeStorage) (string, bool) { return "", false }),
		logicalVolumes: newStore(s, v1alpha1.LogicalVolumesResource.GroupResource(),
			func() *v1alpha1.LogicalVolume { return &v1alpha1.LogicalVolume{} },
			copyLogicalVolumeStatus,
			func(a, b *v1alpha1.LogicalVolume) bool { return reflect.DeepEqual(a.Spec, b.Spec) },
			listLogicalVolumes,
			logicalVolumeField),
	}
}

// SetHook makes every further request ask h first; nil removes it.
func (c *Client) SetHook(h Hook) {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	c.shared.hook = h
}

// Actions returns the requests so far, refused ones included.
func (c *Client) Actions() []Action {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	return append([]Action(nil), c.shared.actions...)
}

// NodeStorages returns the client of NodeStorage objects.
func (c *Client) NodeStorages() client.NodeStorages { return c.nodeStorages }

// LogicalVolumes returns the client of LogicalVolume objects.
func (c *Client) LogicalVolumes() client.LogicalVolumes { return c.logicalVolumes }

func copyNodeStorageStatus(from, to *v1alpha1.NodeStorage) {
	to.Status = *from.Status.DeepCopy()
}

func copyLogicalVolumeStatus(from, to *v1alpha1.LogicalVolume) {
	to.Status = *from.Status.DeepCopy()
}

func listNodeStorages(version string, items []*v1alpha1.NodeStorage) *v1alpha1.NodeStorageList {
	list := &v1alpha1.NodeStorageList{}
	list.ResourceVersion = version
	for _, item := range items {
		list.Items = append(list.Items, *item)
	}
	return list
}

func listLogicalVolumes(version string, items []*v1alpha1.LogicalVolume) *v1alpha1.LogicalVolumeList {
	list := &v1alpha1.LogicalVolumeList{}
	list.ResourceVersion = version
	for _, item := range items {
		list.Items = append(list.Items, *item)
	}
	return list
}

func logicalVolumeField(field string, lv *v1alpha1.LogicalVolume) (string, bool) {
	if field == "spec.nodeName" {
		return lv.Spec.NodeName, true
	}
	return "", false
}
