package plugin

import (
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/component-helpers/storage/ephemeral"
	storagehelpers "k8s.io/component-helpers/storage/volume"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

// errNotOurs: the claim's volume is not made by our driver at a pod's scheduling.
var errNotOurs = errors.New("not a claim of ours")

// podClaims resolves a pod's unbound claims that our driver will make volumes for. Claims that are bound, of another
// provisioner, or of a class that binds immediately are left out: nothing is chosen for them here.
// Errors: a claim that is missing or being deleted, a StorageClass that no volume can be made from, or a source that is
// not there. All of them are for the pod's owner to read.
func (pl *VolumeGroupCapacity) podClaims(pod *v1.Pod) ([]capacity.Claim, error) {
	var result []capacity.Claim
	for i := range pod.Spec.Volumes {
		pvc, err := volumeClaim(pod, &pod.Spec.Volumes[i], pl.claims)
		if err != nil {
			return nil, err
		}
		if pvc == nil || pvc.Spec.VolumeName != "" {
			continue
		}
		claim, err := newClaim(pvc, pl.classes)
		if errors.Is(err, errNotOurs) {
			continue
		}
		if err == nil {
			claim.Origin, err = pl.originOf(pod, pvc)
		}
		if err != nil {
			return nil, err
		}
		if pvc.DeletionTimestamp != nil {
			return nil, fmt.Errorf("persistentvolumeclaim %q is being deleted", pvc.Name)
		}
		result = appendOnce(result, claim)
	}
	return result, nil
}

// appendOnce adds a claim; a pod may mount one claim as two volumes.
func appendOnce(claims []capacity.Claim, claim capacity.Claim) []capacity.Claim {
	for _, c := range claims {
		if c.UID == claim.UID {
			return claims
		}
	}
	return append(claims, claim)
}

// volumeClaim finds the claim behind a pod's volume; nil for volumes without one.
func volumeClaim(pod *v1.Pod, volume *v1.Volume, claims corelisters.PersistentVolumeClaimLister) (*v1.PersistentVolumeClaim, error) {
	name, isEphemeral := claimName(pod, volume)
	if name == "" {
		return nil, nil
	}
	pvc, err := claims.PersistentVolumeClaims(pod.Namespace).Get(name)
	if apierrors.IsNotFound(err) {
		// Passing over it would be wrong: the claim may appear before VolumeBinding looks, and nobody would count it.
		if isEphemeral {
			return nil, fmt.Errorf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", name)
		}
		return nil, fmt.Errorf("persistentvolumeclaim %q not found", name)
	}
	if err != nil {
		return nil, err
	}
	if isEphemeral {
		if err := ephemeral.VolumeIsForPod(pod, pvc); err != nil {
			return nil, err
		}
	}
	return pvc, nil
}

// claimName is the name of the claim behind a volume, or empty, and whether the claim is made from the pod's template.
func claimName(pod *v1.Pod, volume *v1.Volume) (name string, isEphemeral bool) {
	switch {
	case volume.PersistentVolumeClaim != nil:
		return volume.PersistentVolumeClaim.ClaimName, false
	case volume.Ephemeral != nil:
		return ephemeral.VolumeClaimName(pod, volume), true
	}
	return "", false
}

// newClaim reads a claim of one of our classes.
// Errors, with the claim's identity alone: errNotOurs; a StorageClass's unknown or malformed parameter, by name; contents
// that the driver cannot give. What can never be made must not hold bytes.
func newClaim(pvc *v1.PersistentVolumeClaim, classes storagelisters.StorageClassLister) (capacity.Claim, error) {
	claim := claimIdentity(pvc)
	class, err := ourClass(pvc, classes)
	if err != nil {
		return claim, err
	}
	parameters, err := lvm.ParseParameters(class.Parameters)
	block := pvc.Spec.VolumeMode != nil && *pvc.Spec.VolumeMode == v1.PersistentVolumeBlock
	if err == nil {
		_, err = parameters.EraseFor(block)
	}
	if err == nil && !block {
		_, err = parameters.MkfsOptionsFor(parameters.FSType)
	}
	if err != nil {
		return claim, fmt.Errorf("storageclass %q: %w", class.Name, err)
	}
	if err := checkSource(pvc); err != nil {
		return claim, err
	}
	request := pvc.Spec.Resources.Requests[v1.ResourceStorage]
	claim.DeviceClass, claim.SizeBytes = parameters.DeviceClass, request.Value()
	return claim, nil
}

// claimIdentity is what a claim says without its class.
func claimIdentity(pvc *v1.PersistentVolumeClaim) capacity.Claim {
	return capacity.Claim{
		UID: pvc.UID, Namespace: pvc.Namespace, Name: pvc.Name,
		SelectedNode: pvc.Annotations[storagehelpers.AnnSelectedNode], ResourceVersion: capacity.ParseVersion(pvc.ResourceVersion),
	}
}

// ourClass finds the claim's StorageClass if it is ours and waits for a pod.
func ourClass(pvc *v1.PersistentVolumeClaim, classes storagelisters.StorageClassLister) (*storagev1.StorageClass, error) {
	name := storagehelpers.GetPersistentVolumeClaimClass(pvc)
	if name == "" {
		return nil, errNotOurs
	}
	class, err := classes.Get(name)
	if err != nil {
		// A class that is only a name is allowed for volumes made by hand; VolumeBinding holds such claims until bound.
		return nil, errNotOurs
	}
	if class.Provisioner != v1alpha1.DriverName || class.VolumeBindingMode == nil ||
		*class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer {
		return nil, errNotOurs
	}
	return class, nil
}
