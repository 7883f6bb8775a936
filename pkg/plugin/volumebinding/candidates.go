package volumebinding

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	storagehelpers "k8s.io/component-helpers/storage/volume"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// byClass is the in-tree code's name for its index of PersistentVolumes by StorageClass.
const byClass = "storageclass"

// leaveOutMade puts our index in the place of the in-tree one, which is content with what it finds under the name: the
// profiles of a process share it. The in-tree code takes every volume of a claim's class for a candidate and looks at
// all of them for each node; with thousands of volumes that is most of a pod's scheduling. Ours leaves out what was
// made for a claim already.
// Errors: an informer that was stopped.
func leaveOutMade(factory informers.SharedInformerFactory) error {
	indexer := factory.Core().V1().PersistentVolumes().Informer().GetIndexer()
	if _, ok := indexer.GetIndexers()[byClass]; ok {
		// A profile before this one. leaveOutCapacities has made sure that it was not the in-tree plugin.
		return nil
	}
	return indexer.AddIndexers(cache.Indexers{byClass: candidatesByClass})
}

func candidatesByClass(object any) ([]string, error) {
	volume, ok := object.(*v1.PersistentVolume)
	if !ok {
		return nil, fmt.Errorf("%T is no PersistentVolume", object)
	}
	if madeForItsClaim(volume) {
		return nil, nil
	}
	return []string{storagehelpers.GetPersistentVolumeClass(volume)}, nil
}

// madeForItsClaim tells whether our driver made the volume for the very claim that it refers to. No other claim can
// have it, and that one has had selected-node since before: it is never matched with volumes, bound or not. A volume
// that is given to another claim by hand, by its name or UID, is a candidate.
func madeForItsClaim(volume *v1.PersistentVolume) bool {
	csi, claim := volume.Spec.CSI, volume.Spec.ClaimRef
	return csi != nil && csi.Driver == v1alpha1.DriverName && claim != nil && volume.Name == "pvc-"+string(claim.UID)
}
