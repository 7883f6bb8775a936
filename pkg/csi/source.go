package csi

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// sourceIDOf reads what a new volume is to hold; empty for nothing.
// Errors: errMissing, lvm.ErrNotFound for what can be no ID of ours.
func sourceIDOf(source *csi.VolumeContentSource) (string, error) {
	if source == nil {
		return "", nil
	}
	switch t := source.GetType().(type) {
	case *csi.VolumeContentSource_Snapshot:
		id := t.Snapshot.GetSnapshotId()
		if err := require(field{"volume_content_source.snapshot.snapshot_id", id}); err != nil {
			return "", err
		}
		if !lvm.IsSnapshotID(id) {
			return "", fmt.Errorf("snapshot %q: %w", id, lvm.ErrNotFound)
		}
		return id, nil
	case *csi.VolumeContentSource_Volume:
		id := t.Volume.GetVolumeId()
		if err := require(field{"volume_content_source.volume.volume_id", id}); err != nil {
			return "", err
		}
		if lvm.IsSnapshotID(id) {
			return "", fmt.Errorf("volume %q: %w", id, lvm.ErrNotFound)
		}
		return id, nil
	}
	return "", fmt.Errorf("volume_content_source.type %w", errMissing)
}

// contentSource is sourceIDOf the other way round.
func contentSource(id string) *csi.VolumeContentSource {
	switch {
	case id == "":
		return nil
	case lvm.IsSnapshotID(id):
		return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: id},
		}}
	}
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: id},
	}}
}

// sourceOf names what a volume was made from or what a snapshot was taken of; empty for neither.
func sourceOf(lv *v1alpha1.LogicalVolume) string {
	if lv.Spec.Source == nil {
		return ""
	}
	return lv.Spec.Source.Name
}

// sourceFor reads what a volume is to be made from, and checks that it can be; nil for a volume without a source.
// Errors: lvm.ErrNotFound, errPending, ErrPrecondition, errInvalid, apiFailure.
func (c *Controller) sourceFor(ctx context.Context, o *order) (*v1alpha1.LogicalVolume, error) {
	if o.sourceID == "" {
		return nil, nil
	}
	lv, err := c.find(ctx, o.sourceID)
	switch {
	case err != nil:
		return nil, err
	case lv.IsSnapshot() != lvm.IsSnapshotID(o.sourceID), lv.Spec.State == v1alpha1.StateAbsent, lv.Status.Phase == v1alpha1.PhaseFailed:
		return nil, fmt.Errorf("volume_content_source %s: %w", o.sourceID, lvm.ErrNotFound)
	case lv.Status.Phase != v1alpha1.PhaseReady:
		return nil, fmt.Errorf("volume_content_source %s is not made yet: %w", o.sourceID, errPending)
	case overflowed(lv):
		return nil, fmt.Errorf("volume_content_source %s: %w: its volume changed more than it holds", o.sourceID, ErrPrecondition)
	case lv.Spec.FSType != o.fsType:
		return nil, fmt.Errorf("%w volume_content_source: %s is %s, the volume is to be %s", errInvalid, o.sourceID, kind(lv.Spec.FSType), kind(o.fsType))
	}
	return lv, nil
}

// overflowed says of a snapshot that its bytes are lost.
func overflowed(lv *v1alpha1.LogicalVolume) bool {
	return meta.IsStatusConditionFalse(lv.Status.Conditions, v1alpha1.LogicalVolumeSnapshotValid)
}

// viewBytes is how many bytes of an LV a volume made from it takes over, its encryption's header included.
func viewBytes(lv *v1alpha1.LogicalVolume) int64 {
	if lv.IsSnapshot() {
		return lv.Status.SourceBytes
	}
	return lv.Status.AllocatedBytes
}

// fitSource makes the order as large as its source where it names no size. What is asked for counts as LVM will round it:
// a clone of the size that its source was asked for has room.
// Errors: errRange.
func (o *order) fitSource(source *v1alpha1.LogicalVolume, class *v1alpha1.DeviceClassStatus, extentBytes int64) error {
	if source == nil {
		return nil
	}
	view := viewBytes(source)
	usable := max(view-source.Spec.HeaderBytes(), 1)
	if o.limitBytes > 0 && o.limitBytes < usable {
		return fmt.Errorf("%w: %s has %d bytes, more than limit_bytes %d", errRange, source.Name, usable, o.limitBytes)
	}
	if o.requiredBytes == 0 {
		o.sizeBytes = usable
		return nil
	}
	size := lvm.SaturatingAdd(o.requiredBytes, source.Spec.HeaderBytes())
	if extentBytes > 0 {
		size = lvm.Request{SizeBytes: o.requiredBytes, Layout: class.VolumeLayout()}.MissingBytes(extentBytes)
	}
	if size < view {
		return fmt.Errorf("%w: %s has %d bytes, more than required_bytes %d come to", errRange, source.Name, view, o.requiredBytes)
	}
	return nil
}
