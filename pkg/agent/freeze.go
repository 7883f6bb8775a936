package agent

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// frozenBytes is what is set aside for the changes of a volume while it is copied; nothing in a thin pool.
func frozenBytes(origin lvm.LogicalVolume, extentSizeBytes int64) int64 {
	if origin.ThinPool != "" {
		return 0
	}
	return lvm.HoldBytes(origin.SizeBytes, extentSizeBytes)
}

// checkFreeze refuses a volume whose source cannot be held still while it is copied, before anything is made.
func (v *volumes) checkFreeze(object *v1alpha1.LogicalVolume, c VolumeGroupConfig, layout lvm.Layout, s source) error {
	if s.tags.Snapshot || s.lv.ThinPool != "" {
		return nil
	}
	requests := []lvm.Request{{SizeBytes: frozenBytes(s.lv, s.vg.ExtentSizeBytes)}}
	if c.Name == s.vg.Name {
		requests = append(requests, lvm.Request{SizeBytes: object.Spec.SizeBytes, Layout: layout})
	}
	of, _ := v.config().VolumeGroup(s.vg.Name)
	if err := s.vg.Space(of.HeldBytes()).Check(requests); err != nil {
		return fmt.Errorf("with %s to hold volume %s still while it is copied: %w", exactBytes(requests[0].SizeBytes), s.lv.Name, err)
	}
	return nil
}

// holdSource returns an LV with the bytes that are to be copied, none of which change: the source if it is a snapshot,
// else one of its own, taken now or by an earlier attempt.
func (v *volumes) holdSource(ctx context.Context, object *v1alpha1.LogicalVolume) (place, error) {
	// UUIDs, and whether a snapshot is valid, are known from a report only.
	if err := v.groups.report(ctx); err != nil {
		return place{}, err
	}
	if at, ok := v.findFrozen(object.Name); ok && !v.overflowed(at) {
		return at, nil
	} else if ok {
		if err := v.thaw(ctx, object.Name); err != nil {
			return place{}, err
		}
	}
	s, err := v.findSource(ctx, object)
	if err != nil {
		return place{}, later(err)
	}
	if s.tags.Snapshot {
		return s.place, nil
	}
	return v.freeze(ctx, object, s)
}

// freeze takes the snapshot that a volume is copied from.
func (v *volumes) freeze(ctx context.Context, object *v1alpha1.LogicalVolume, s source) (place, error) {
	c, ok := v.config().VolumeGroup(s.vg.Name)
	if !ok {
		return place{}, again(codes.Unavailable, "", "volume group %s is not configured on node %s", s.vg.Name, v.nodeName)
	}
	unlock, err := v.groups.lock(ctx, c.Name)
	if err != nil {
		return place{}, err
	}
	defer unlock()
	c = v.asHeld(c)
	vg, err := v.groups.current(ctx, c.Name)
	if err != nil {
		return place{}, err
	}
	name := lvm.CopyName(object.Name)
	request, err := placeSnapshot(vg.Space(c.HeldBytes()), vg, s.lv, name, frozenBytes(s.lv, vg.ExtentSizeBytes))
	if err != nil {
		return place{}, again(codes.ResourceExhausted, v1alpha1.ReasonInsufficientSpace, "hold %s/%s still: %w", vg.Name, s.lv.Name, err)
	}
	tags := tagsOf(object)
	tags.Copy, tags.LUKS = true, s.tags.LUKS
	request.Tags = tags.Strings()
	if err := v.groups.manager.Snapshot(ctx, request); err != nil {
		return place{}, fmt.Errorf("snapshot %s/%s of %s: %w", vg.Name, name, s.lv.Name, err)
	}
	if err := v.groups.report(ctx); err != nil {
		return place{}, err
	}
	at, ok := v.findFrozen(object.Name)
	if !ok {
		return place{}, again(codes.Aborted, "", "logical volume %s/%s is gone as soon as it was made", vg.Name, name)
	}
	return at, nil
}

func (v *volumes) findFrozen(volumeID string) (place, bool) {
	at, ok := v.groups.find(lvm.CopyName(volumeID))
	if _, holds := at.lv.Holds(); !ok || !holds {
		return place{}, false
	}
	return at, true
}

// thaw removes what held the volume's source still, if it is there; the caller knows that nothing reads it.
func (v *volumes) thaw(ctx context.Context, volumeID string) error {
	at, ok := v.findFrozen(volumeID)
	if !ok {
		return nil
	}
	if err := v.removeAndReport(ctx, at.vg.Name, at.lv.Name); err != nil {
		return err
	}
	v.wake(at.lv.Origin)
	return nil
}
