package csi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// errChanged: the object is not as it was read; somebody, most likely its agent, was faster. It is an errPending.
var errChanged = fmt.Errorf("object changed meanwhile: %w", errPending)

// withdraw deletes a LogicalVolume as it was read, and returns when it is certainly gone. The precondition is the
// fence: an agent accepts by an update with resourceVersion before it touches LVM, so that exactly one of the two
// succeeds.
// Errors: errChanged, errPending (deleted but not gone yet), apiFailure.
func (c *Controller) withdraw(ctx context.Context, lv *v1alpha1.LogicalVolume) error {
	if err := deleteUnchanged(ctx, c.volumes, lv); err != nil {
		return err
	}
	left, err := c.find(ctx, lv.Name)
	if errors.Is(err, lvm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if left.UID == lv.UID {
		return fmt.Errorf("%s: its LogicalVolume is deleted but held by finalizers %v: %w", noun(lv), left.Finalizers, errPending)
	}
	return nil
}

// deleteUnchanged deletes an object if it is as it was read. One that is gone already is no error.
// Errors: errChanged, apiFailure.
func deleteUnchanged(ctx context.Context, volumes client.LogicalVolumes, lv *v1alpha1.LogicalVolume) error {
	err := volumes.Delete(ctx, lv.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &lv.UID, ResourceVersion: &lv.ResourceVersion},
	})
	switch {
	case err == nil:
		klog.FromContext(ctx).V(2).Info("Deleted LogicalVolume", "volumeID", lv.Name, "node", lv.Spec.NodeName, "phase", lv.Status.Phase)
		return nil
	case isGone(err):
		return nil
	case apierrors.IsConflict(err):
		return fmt.Errorf("withdraw LogicalVolume %s: %w", lv.Name, errChanged)
	}
	return apiError(err, "withdraw LogicalVolume %s", lv.Name)
}

// specPatch is a merge patch of a LogicalVolume. The API server refuses it with a conflict when uid or, where given,
// resourceVersion are not the object's.
type specPatch struct {
	Metadata struct {
		UID             types.UID `json:"uid"`
		ResourceVersion string    `json:"resourceVersion,omitempty"`
	} `json:"metadata"`
	Spec struct {
		State     v1alpha1.VolumeState `json:"state,omitempty"`
		SizeBytes int64                `json:"sizeBytes,omitempty"`
		// QoS is a merge patch itself: null takes all limits away.
		QoS json.RawMessage `json:"qos,omitempty"`
	} `json:"spec"`
}

// patchSpec sends a patch to the object that lv is.
// Errors: lvm.ErrNotFound, errChanged, apiFailure.
func patchSpec(ctx context.Context, volumes client.LogicalVolumes, lv *v1alpha1.LogicalVolume, patch specPatch) (*v1alpha1.LogicalVolume, error) {
	patch.Metadata.UID = lv.UID
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("patch of LogicalVolume %s: %w", lv.Name, err)
	}
	patched, err := volumes.Patch(ctx, lv.Name, types.MergePatchType, data, metav1.PatchOptions{})
	switch {
	case err == nil:
		return patched, nil
	case isGone(err):
		return nil, fmt.Errorf("volume %s: %w", lv.Name, lvm.ErrNotFound)
	case apierrors.IsConflict(err):
		return nil, fmt.Errorf("patch LogicalVolume %s: %w", lv.Name, errChanged)
	}
	return nil, apiError(err, "patch LogicalVolume %s", lv.Name)
}

// orderAbsent orders the removal of a volume, if it still is as it was read.
// Errors: lvm.ErrNotFound, errChanged, apiFailure.
func orderAbsent(ctx context.Context, volumes client.LogicalVolumes, lv *v1alpha1.LogicalVolume) error {
	patch := specPatch{}
	patch.Metadata.ResourceVersion = lv.ResourceVersion
	patch.Spec.State = v1alpha1.StateAbsent
	_, err := patchSpec(ctx, volumes, lv, patch)
	return err
}
