package volumebinding

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	storagehelpers "k8s.io/component-helpers/storage/volume"
)

// check tells whether all claims are bound, as the in-tree binder does for claims that are provisioned. It looks at
// every claim: one that is refused ends the wait though another is still being made.
// claims are as they were written; what is read is what the informers have.
// Errors: the pod has to be scheduled again, with the in-tree code's words.
func (b *binder) check(pod *v1.Pod, claims []*v1.PersistentVolumeClaim) (bool, error) {
	node, err := b.nodes.Get(pod.Spec.NodeName)
	if err != nil {
		return false, fmt.Errorf("failed to get node %q: %w", pod.Spec.NodeName, err)
	}
	if _, err := b.pods.Pods(pod.Namespace).Get(pod.Name); apierrors.IsNotFound(err) {
		return false, fmt.Errorf("pod does not exist any more: %w", err)
	}
	allBound := true
	for _, written := range claims {
		bound, err := b.checkClaim(written, node)
		if err != nil {
			return false, err
		}
		allBound = allBound && bound
	}
	return allBound, nil
}

func (b *binder) checkClaim(written *v1.PersistentVolumeClaim, node *v1.Node) (bool, error) {
	claim, err := b.claims.PersistentVolumeClaims(written.Namespace).Get(written.Name)
	if err != nil {
		return false, fmt.Errorf("failed to check provisioning pvc: %w", err)
	}
	order, err := resourceversion.CompareResourceVersion(written.ResourceVersion, claim.ResourceVersion)
	if err != nil {
		return false, fmt.Errorf("failed to check provisioning pvc: %w", err)
	}
	if order > 0 {
		// Our own write has not come back yet.
		return false, nil
	}
	if claim.Annotations == nil {
		return false, fmt.Errorf("selectedNode annotation reset for PVC %q", claim.Name)
	}
	if claim.Annotations[storagehelpers.AnnSelectedNode] != node.Name {
		// This is how a provisioner says that it gave up.
		return false, fmt.Errorf("provisioning failed for PVC %q", claim.Name)
	}
	if claim.Spec.VolumeName == "" {
		return false, nil
	}
	if reached, err := b.checkVolume(claim.Spec.VolumeName, node); err != nil || !reached {
		return false, err
	}
	return metav1.HasAnnotation(claim.ObjectMeta, storagehelpers.AnnBindCompleted), nil
}

// checkVolume tells whether the claim's volume is known.
// Errors: it is, and the node cannot reach it.
func (b *binder) checkVolume(name string, node *v1.Node) (bool, error) {
	volume, err := b.volumes.Get(name)
	if apierrors.IsNotFound(err) {
		// The watch of volumes is behind that of claims; or the volume is gone, and then the claim will be Lost.
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("failed to get pv %q from cache: %w", name, err)
	}
	if err := storagehelpers.CheckNodeAffinity(volume, node.Labels); err != nil {
		return false, fmt.Errorf("pv %q node affinity doesn't match node %q: %w", name, node.Name, err)
	}
	return true, nil
}
