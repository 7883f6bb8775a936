package csi

import (
	"context"
	"errors"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// ControllerExpandVolume implements csi.ControllerServer: it raises spec.sizeBytes and waits for the agent.
//
// A refused expansion does not stay as an order, which an agent would carry out whenever space turns up, long after
// the user asked for less, and which the scheduler would count as promised: the size goes back to what is allocated
// before the refusal is returned, and, should this process die in between, before the next attempt.
func (c *Controller) ControllerExpandVolume(ctx context.Context, request *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	if err := checkExpand(request); err != nil {
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

	lv, err := c.expandable(ctx, request)
	if err != nil {
		return nil, err
	}
	wanted := request.GetCapacityRange().GetRequiredBytes()
	if lv.UsableBytes() < wanted {
		if lv, err = c.expand(ctx, follower, lv, wanted); err != nil {
			return nil, err
		}
	}
	return &csi.ControllerExpandVolumeResponse{
		CapacityBytes: lv.UsableBytes(),
		// The file system grows where it is mounted; a block volume needs nothing.
		NodeExpansionRequired: lv.Spec.FSType != "",
	}, nil
}

func checkExpand(request *csi.ControllerExpandVolumeRequest) error {
	if err := require(field{"volume_id", request.GetVolumeId()}); err != nil {
		return err
	}
	if request.GetCapacityRange().GetRequiredBytes() == 0 && request.GetCapacityRange().GetLimitBytes() == 0 {
		return fmt.Errorf("capacity_range %w", errMissing)
	}
	return checkRange(request.GetCapacityRange())
}

// expandable reads the volume and checks it against the request.
// Errors: lvm.ErrNotFound, errPending, ErrPrecondition, errInvalid, errRange.
func (c *Controller) expandable(ctx context.Context, request *csi.ControllerExpandVolumeRequest) (*v1alpha1.LogicalVolume, error) {
	lv, err := c.findVolume(ctx, request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if lv.Spec.State == v1alpha1.StateAbsent {
		return nil, fmt.Errorf("volume %s is being removed: %w", lv.Name, ErrPrecondition)
	}
	if lv.Status.Phase != v1alpha1.PhaseReady {
		return nil, fmt.Errorf("volume %s is not made yet: %w", lv.Name, errPending)
	}
	if request.GetVolumeCapability() != nil {
		used, err := accessOfOne(request.GetVolumeCapability())
		if err != nil {
			return nil, err
		}
		if err := checkAccess(lv.Spec.FSType, used); err != nil {
			return nil, fmt.Errorf("%w volume_capability: %w", errInvalid, err)
		}
	}
	if limit := request.GetCapacityRange().GetLimitBytes(); limit > 0 && lv.UsableBytes() > limit {
		return nil, fmt.Errorf("%w: volume %s has %d bytes, the limit is %d", errRange, lv.Name, lv.UsableBytes(), limit)
	}
	return lv, nil
}

// expand orders the size wanted and waits for it.
// Errors: errNoGrowth, errPending, apiFailure, context errors, the agent's other refusals with their codes.
func (c *Controller) expand(ctx context.Context, follower *follower, lv *v1alpha1.LogicalVolume, wanted int64) (*v1alpha1.LogicalVolume, error) {
	lv, err := c.resize(ctx, lv, wanted)
	if err != nil {
		return nil, err
	}
	for {
		last, gone := follower.last(lv)
		switch {
		case gone || last.Spec.State == v1alpha1.StateAbsent:
			return nil, fmt.Errorf("volume %s is being removed: %w", lv.Name, ErrPrecondition)
		case last.UsableBytes() >= wanted:
			return last, nil
		case last.GrowthRefused() && last.Generation == lv.Generation:
			return c.revert(ctx, last, wanted)
		}
		select {
		case <-ctx.Done():
			return nil, waitedInVain(ctx, last, "is not expanded yet")
		case <-follower.changed:
		}
	}
}

// resize writes spec.sizeBytes, unless an order of that size is under way. After a refusal the size is first taken
// back, so that the agent sees a new generation and answers anew.
func (c *Controller) resize(ctx context.Context, lv *v1alpha1.LogicalVolume, wanted int64) (*v1alpha1.LogicalVolume, error) {
	var err error
	if lv.GrowthRefused() && lv.Spec.SizeBytes > lv.UsableBytes() {
		if lv, err = c.setSize(ctx, lv, lv.UsableBytes()); err != nil {
			return nil, err
		}
	}
	if lv.Spec.SizeBytes == wanted {
		return lv, nil
	}
	return c.setSize(ctx, lv, wanted)
}

func (c *Controller) setSize(ctx context.Context, lv *v1alpha1.LogicalVolume, size int64) (*v1alpha1.LogicalVolume, error) {
	patch := specPatch{}
	patch.Metadata.ResourceVersion = lv.ResourceVersion
	patch.Spec.SizeBytes = size
	return patchSpec(ctx, c.volumes, lv, patch)
}

// revert takes a refused size back and returns the refusal. When the agent made it after all in between, that is
// the answer.
func (c *Controller) revert(ctx context.Context, lv *v1alpha1.LogicalVolume, wanted int64) (*v1alpha1.LogicalVolume, error) {
	message := lv.Status.Message
	if _, err := c.setSize(ctx, lv, lv.UsableBytes()); errors.Is(err, errChanged) {
		if lv, err = c.find(ctx, lv.Name); err != nil {
			return nil, err
		}
		if lv.UsableBytes() >= wanted {
			return lv, nil
		}
		return nil, fmt.Errorf("volume %s: %w", lv.Name, errChanged)
	} else if err != nil {
		return nil, err
	}
	klog.FromContext(ctx).V(2).Info("Took a refused expansion back", "volumeID", lv.Name, "wantedBytes", wanted, "usableBytes", lv.UsableBytes())
	if code := parseCode(lv.Status.Code); code == codes.InvalidArgument || code == codes.FailedPrecondition {
		return nil, status.Error(code, message)
	}
	// Whatever the agent calls a lack of space: OutOfRange is the one that lets the user ask for less.
	return nil, fmt.Errorf("volume %s of %d bytes to %d: %w: %s", lv.Name, lv.UsableBytes(), wanted, errNoGrowth, message)
}
