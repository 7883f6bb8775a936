package csi

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// byTopology indexes NodeStorages by their node's topology value, which is not the node's name when that is long.
const byTopology = "topology"

// nodeStorages reads the nodes' reports from an informer's cache.
type nodeStorages struct {
	informer cache.SharedIndexInformer
	lister   client.Lister[*v1alpha1.NodeStorage]
}

// newNodeStorages prepares an informer that has not been started.
func newNodeStorages(informer cache.SharedIndexInformer) (*nodeStorages, error) {
	err := informer.AddIndexers(cache.Indexers{byTopology: func(object any) ([]string, error) {
		return []string{lvm.TopologyValue(object.(*v1alpha1.NodeStorage).Name)}, nil
	}})
	if err != nil {
		return nil, fmt.Errorf("index NodeStorages by topology: %w", err)
	}
	return &nodeStorages{informer: informer, lister: client.NodeStorageLister(informer)}, nil
}

// all returns every node's report.
func (s *nodeStorages) all() []*v1alpha1.NodeStorage {
	objects := s.informer.GetIndexer().List()
	reports := make([]*v1alpha1.NodeStorage, 0, len(objects))
	for _, object := range objects {
		reports = append(reports, object.(*v1alpha1.NodeStorage))
	}
	return reports
}

// at finds the report of the node with a topology value.
func (s *nodeStorages) at(topologyValue string) (*v1alpha1.NodeStorage, bool) {
	objects, err := s.informer.GetIndexer().ByIndex(byTopology, topologyValue)
	if err != nil || len(objects) != 1 {
		// Two node names of one hashed value are one in 2^80; neither gets a volume then.
		return nil, false
	}
	return objects[0].(*v1alpha1.NodeStorage), true
}

// classNames lists the device classes that any node serves, for messages.
func (s *nodeStorages) classNames() []string {
	names := map[string]struct{}{}
	for _, report := range s.all() {
		for i := range report.Status.DeviceClasses {
			names[report.Status.DeviceClasses[i].Name] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// classOf finds a device class of a node; the empty name means the node's default.
func classOf(report *v1alpha1.NodeStorage, name string) (*v1alpha1.DeviceClassStatus, bool) {
	for i := range report.Status.DeviceClasses {
		class := &report.Status.DeviceClasses[i]
		if class.Name == name || name == "" && class.Default {
			return class, true
		}
	}
	return nil, false
}

// groupOf finds a volume group of a node.
func groupOf(report *v1alpha1.NodeStorage, name string) (*v1alpha1.VolumeGroupStatus, bool) {
	for i := range report.Status.VolumeGroups {
		if group := &report.Status.VolumeGroups[i]; group.Name == name {
			return group, true
		}
	}
	return nil, false
}
