package plugin

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

// contents is what a claim's volume is to begin with, or nil. The API server keeps dataSource and dataSourceRef alike,
// but for what only the latter can say.
func contents(pvc *v1.PersistentVolumeClaim) *v1.TypedObjectReference {
	if ref := pvc.Spec.DataSourceRef; ref != nil {
		return ref
	}
	if ref := pvc.Spec.DataSource; ref != nil {
		return &v1.TypedObjectReference{APIGroup: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}
	}
	return nil
}

func isKind(ref *v1.TypedObjectReference, group, kind string) bool {
	own := ""
	if ref.APIGroup != nil {
		own = *ref.APIGroup
	}
	return own == group && ref.Kind == kind
}

func isSnapshot(ref *v1.TypedObjectReference) bool {
	return isKind(ref, "snapshot.storage.k8s.io", "VolumeSnapshot")
}

func isClaim(ref *v1.TypedObjectReference) bool { return isKind(ref, "", "PersistentVolumeClaim") }

// checkSource refuses contents that the driver cannot give. That includes what populators give: they have a claim of
// their own provisioned, which counts like any, and hand its volume over.
func checkSource(pvc *v1.PersistentVolumeClaim) error {
	ref := contents(pvc)
	switch {
	case ref == nil:
		return nil
	case !isSnapshot(ref) && !isClaim(ref):
		return fmt.Errorf("persistentvolumeclaim %q: %s cannot make a volume from %s %q, only from a VolumeSnapshot or a PersistentVolumeClaim",
			pvc.Name, v1alpha1.DriverName, ref.Kind, ref.Name)
	case ref.Namespace != nil && *ref.Namespace != "" && *ref.Namespace != pvc.Namespace:
		return fmt.Errorf("persistentvolumeclaim %q: %s cannot make a volume from %s %q of another namespace",
			pvc.Name, v1alpha1.DriverName, ref.Kind, ref.Name)
	}
	return nil
}

// originOf is where a claim's contents are to be looked for; nowhere for a claim without any, and for a copy of another
// claim of the pod's that is not bound: that is made on the same node anyway.
// Errors: a claim that is not there, not bound yet, or whose volume is not our driver's.
func (pl *VolumeGroupCapacity) originOf(pod *v1.Pod, pvc *v1.PersistentVolumeClaim) (capacity.Origin, error) {
	ref := contents(pvc)
	if ref == nil {
		return capacity.Origin{}, nil
	}
	if isSnapshot(ref) {
		return capacity.Origin{Namespace: pvc.Namespace, Snapshot: ref.Name}, nil
	}
	fault := func(format string, args ...any) error {
		return fmt.Errorf("persistentvolumeclaim %q is to be a copy of %q: %s", pvc.Name, ref.Name, fmt.Sprintf(format, args...))
	}
	original, err := pl.claims.PersistentVolumeClaims(pvc.Namespace).Get(ref.Name)
	switch {
	case apierrors.IsNotFound(err):
		return capacity.Origin{}, fault("that is not found")
	case err != nil:
		return capacity.Origin{}, err
	case original.Spec.VolumeName == "" && usesClaim(pod, pvc.Namespace, ref.Name):
		return capacity.Origin{}, nil
	case original.Spec.VolumeName == "":
		return capacity.Origin{}, fault("that is not bound yet")
	}
	volume, err := pl.volumes.Get(original.Spec.VolumeName)
	switch {
	case apierrors.IsNotFound(err):
		return capacity.Origin{}, fault("its persistentvolume %q is not found", original.Spec.VolumeName)
	case err != nil:
		return capacity.Origin{}, err
	case volume.Spec.CSI == nil || volume.Spec.CSI.Driver != v1alpha1.DriverName:
		return capacity.Origin{}, fault("that is no volume of %s", v1alpha1.DriverName)
	}
	return capacity.Origin{VolumeID: volume.Spec.CSI.VolumeHandle}, nil
}

// copiesClaim tells whether a claim of the pod's is to be a copy of the claim named.
func (pl *VolumeGroupCapacity) copiesClaim(pod *v1.Pod, namespace, name string) bool {
	if pod.Namespace != namespace {
		return false
	}
	for i := range pod.Spec.Volumes {
		own, _ := claimName(pod, &pod.Spec.Volumes[i])
		if own == "" {
			continue
		}
		pvc, err := pl.claims.PersistentVolumeClaims(namespace).Get(own)
		if err != nil {
			continue
		}
		if ref := contents(pvc); ref != nil && isClaim(ref) && ref.Name == name {
			return true
		}
	}
	return false
}
