package csi

import (
	"context"
	"errors"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// DeleteVolume implements csi.ControllerServer: it orders the volume Absent and waits until the agent has removed the
// LV and then the object. A volume that is still open is removed at its unstage, which may come later: nothing makes
// the orchestrator unstage first.
//
// A volume that has snapshots outside a thin pool cannot go before them: FailedPrecondition tells so at once. The order
// stands, and the agent removes the volume after the last of them.
//
// The volume of a node that is gone for good stays until the janitor has seen the node gone for its grace.
func (c *Controller) DeleteVolume(ctx context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if err := require(field{"volume_id", request.GetVolumeId()}); err != nil {
		return nil, err
	}
	if err := c.checkReady(); err != nil {
		return nil, err
	}
	unlock, err := c.locks.lock(request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	ctx, cancel := beforeDeadline(ctx)
	defer cancel()
	follower := c.watch.follow(request.GetVolumeId())
	defer follower.stop()

	lv, err := c.findVolume(ctx, request.GetVolumeId())
	if err == nil {
		err = c.remove(ctx, follower, lv)
	}
	if err != nil && !errors.Is(err, lvm.ErrNotFound) {
		return nil, err
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// remove makes a volume and its object disappear.
// Errors: lvm.ErrNotFound (it is gone), errPending, apiFailure, context errors.
func (c *Controller) remove(ctx context.Context, follower *follower, lv *v1alpha1.LogicalVolume) error {
	// Of these two nothing is on disk, so that no agent is needed, which may be gone. On a conflict the agent has just
	// accepted the first; then it is removed like any other.
	if lv.Status.Phase == v1alpha1.PhasePending || lv.Status.Phase == v1alpha1.PhaseFailed {
		if err := c.withdraw(ctx, lv); !errors.Is(err, errChanged) {
			return err
		}
	}
	patch := specPatch{}
	patch.Spec.State = v1alpha1.StateAbsent
	ordered, err := patchSpec(ctx, c.volumes, lv, patch)
	if err != nil {
		return err
	}
	return c.awaitGone(ctx, follower, ordered)
}

// awaitGone waits until an object is deleted.
// Errors: context errors, with what the agent says; ErrPrecondition when the agent waits for something that only other
// calls can bring about.
func (c *Controller) awaitGone(ctx context.Context, follower *follower, lv *v1alpha1.LogicalVolume) error {
	for {
		last, gone := follower.last(lv)
		switch {
		case gone:
			return nil
		case last.Spec.State == v1alpha1.StateAbsent && last.Status.ObservedGeneration == last.Generation &&
			last.Status.Code == codes.FailedPrecondition.String():
			return fmt.Errorf("%s is removed later: %w: %s", noun(last), ErrPrecondition, last.Status.Message)
		}
		select {
		case <-ctx.Done():
			return waitedInVain(ctx, last, "is not removed yet")
		case <-follower.changed:
		}
	}
}
