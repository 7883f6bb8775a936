package csi

import (
	"context"
	"errors"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/timestamppb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// snapshotOrder is a CreateSnapshot request, checked.
type snapshotOrder struct {
	snapshotID, sourceID string
	parameters           lvm.SnapshotParameters
}

// parseSnapshotOrder checks everything in a CreateSnapshot request that can be checked without looking at its volume.
// Errors: errMissing, lvm.ErrUnknownParameter, lvm.ErrInvalidParameter.
func parseSnapshotOrder(request *csi.CreateSnapshotRequest) (*snapshotOrder, error) {
	if err := require(field{"name", request.GetName()}, field{"source_volume_id", request.GetSourceVolumeId()}); err != nil {
		return nil, err
	}
	parameters, err := lvm.ParseSnapshotParameters(request.GetParameters())
	if err != nil {
		return nil, err
	}
	return &snapshotOrder{lvm.SnapshotID(request.GetName()), request.GetSourceVolumeId(), parameters}, nil
}

// CreateSnapshot implements csi.ControllerServer: it creates a LogicalVolume of kind Snapshot on the volume's node and
// waits until the agent has made it or refused. A refused object never answers a later attempt.
func (c *Controller) CreateSnapshot(ctx context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	o, err := parseSnapshotOrder(request)
	if err != nil {
		return nil, err
	}
	if err := c.checkReady(); err != nil {
		return nil, err
	}
	unlock, err := c.locks.lock(o.snapshotID)
	if err != nil {
		return nil, err
	}
	defer unlock()
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "snapshotID", o.snapshotID)
	ctx, cancel := beforeDeadline(klog.NewContext(ctx, logger))
	defer cancel()
	follower := c.watch.follow(o.snapshotID)
	defer follower.stop()

	lv, err := c.ensureSnapshot(ctx, o)
	if err != nil {
		return nil, err
	}
	// An accepted snapshot may be named by a VolumeSnapshotContent, which is not asked for: it is never withdrawn.
	named := func(context.Context) (bool, error) { return true, nil }
	if lv, err = c.awaitReady(ctx, follower, lv, named); err != nil {
		return nil, err
	}
	return &csi.CreateSnapshotResponse{Snapshot: taken(lv)}, nil
}

// taken describes a snapshot that is ready. It holds whatever was written before its object was made, and perhaps what
// was written in the moment after.
func taken(lv *v1alpha1.LogicalVolume) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:     lv.Name,
		SourceVolumeId: sourceOf(lv),
		SizeBytes:      max(lv.Status.SourceBytes-lv.Spec.HeaderBytes(), 0),
		CreationTime:   timestamppb.New(lv.CreationTimestamp.Time),
		ReadyToUse:     !overflowed(lv),
	}
}

// ensureSnapshot returns the LogicalVolume for an order, made now or found to be of the same volume.
// Errors: those of createSnapshot, errIncompatible, errPending, apiFailure.
func (c *Controller) ensureSnapshot(ctx context.Context, o *snapshotOrder) (*v1alpha1.LogicalVolume, error) {
	lv, err := c.findSnapshot(ctx, o.snapshotID)
	switch {
	case errors.Is(err, lvm.ErrNotFound):
		return c.createSnapshot(ctx, o)
	case err != nil:
		return nil, err
	case lv.Status.Phase == v1alpha1.PhaseFailed:
		if err := c.withdraw(ctx, lv); err != nil {
			return nil, err
		}
		return c.createSnapshot(ctx, o)
	case sourceOf(lv) != o.sourceID:
		return nil, fmt.Errorf("snapshot %s %w it is of volume %s, not of %s", lv.Name, errIncompatible, sourceOf(lv), o.sourceID)
	case lv.Spec.State == v1alpha1.StateAbsent:
		return nil, fmt.Errorf("snapshot %s is being removed: %w", lv.Name, errPending)
	}
	return lv, nil
}

// createSnapshot orders a snapshot.
// Errors: lvm.ErrNotFound (the volume), ErrPrecondition, errPending, apiFailure.
func (c *Controller) createSnapshot(ctx context.Context, o *snapshotOrder) (*v1alpha1.LogicalVolume, error) {
	volume, err := c.findVolume(ctx, o.sourceID)
	switch {
	case err != nil:
		return nil, err
	case volume.Spec.State == v1alpha1.StateAbsent:
		return nil, fmt.Errorf("volume %s is being removed: %w", volume.Name, ErrPrecondition)
	case volume.Status.Phase != v1alpha1.PhaseReady:
		return nil, fmt.Errorf("volume %s is not made yet: %w", volume.Name, errPending)
	}
	lv, err := c.volumes.Create(ctx, o.object(volume, c.snapshotBytes(o, volume)), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("snapshot %s: another call makes it: %w", o.snapshotID, errPending)
	}
	if err != nil {
		return nil, apiError(err, "create LogicalVolume %s", o.snapshotID)
	}
	klog.FromContext(ctx).V(2).Info("Created LogicalVolume", "node", lv.Spec.NodeName, "volumeID", volume.Name, "sizeBytes", lv.Spec.SizeBytes)
	return lv, nil
}

// object is the LogicalVolume to create: on its volume's node, of its class, holding what it holds.
func (o *snapshotOrder) object(volume *v1alpha1.LogicalVolume, sizeBytes int64) *v1alpha1.LogicalVolume {
	return &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.snapshotID},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName:    volume.Spec.NodeName,
			DeviceClass: volume.Spec.DeviceClass,
			Kind:        v1alpha1.KindSnapshot,
			SizeBytes:   sizeBytes,
			FSType:      volume.Spec.FSType,
			Encryption:  volume.Spec.Encryption,
			Source:      &v1alpha1.VolumeSource{Name: volume.Name},
			Erase:       v1alpha1.EraseNone,
			ClaimRef:    v1alpha1.ClaimReference{Namespace: o.parameters.SnapshotNamespace, Name: o.parameters.SnapshotName},
			State:       v1alpha1.StatePresent,
		},
	}
}

// snapshotBytes is the size to ask for: in a thin pool the volume's own, which it takes virtually; else what the changes
// of the volume may come to.
func (c *Controller) snapshotBytes(o *snapshotOrder, volume *v1alpha1.LogicalVolume) int64 {
	if report, err := c.storages.lister.Get(volume.Spec.NodeName); err == nil {
		if class, ok := classOf(report, volume.Spec.DeviceClass); ok && class.VolumeLayout().Type == lvm.LayoutThin {
			return max(volume.UsableBytes(), 1)
		}
	}
	return o.parameters.Bytes(volume.Status.AllocatedBytes)
}

// DeleteSnapshot implements csi.ControllerServer: it orders the snapshot Absent and waits until the agent has removed it.
// A volume that waits for it to go is removed after it.
func (c *Controller) DeleteSnapshot(ctx context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if err := require(field{"snapshot_id", request.GetSnapshotId()}); err != nil {
		return nil, err
	}
	if err := c.checkReady(); err != nil {
		return nil, err
	}
	unlock, err := c.locks.lock(request.GetSnapshotId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	ctx, cancel := beforeDeadline(ctx)
	defer cancel()
	follower := c.watch.follow(request.GetSnapshotId())
	defer follower.stop()

	lv, err := c.findSnapshot(ctx, request.GetSnapshotId())
	if err == nil {
		err = c.remove(ctx, follower, lv)
	}
	if err != nil && !errors.Is(err, lvm.ErrNotFound) {
		return nil, err
	}
	return &csi.DeleteSnapshotResponse{}, nil
}
