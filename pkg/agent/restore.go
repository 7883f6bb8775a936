package agent

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// placeFrom is placeLV for a volume that may have a source. In the source's own thin pool the volume is made as a
// snapshot of it, with all bytes (a fork); else an empty LV is made by its class's layout, and the bytes are copied
// beside the worker (fill).
// The caller holds the volume group's lock. Errors: those of placeLV, and refusals.
func (v *volumes) placeFrom(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig) (at place, fresh bool, err error) {
	if object.Spec.Source == nil {
		return v.placeLV(ctx, object, c)
	}
	vg, err := v.groups.current(ctx, c.Name)
	if err != nil {
		return place{}, false, err
	}
	if _, ok := vg.LogicalVolume(object.Name); ok {
		if at, fresh, err = v.placeLV(ctx, object, c); err == nil {
			at, err = v.extendFork(ctx, object, at)
		}
		return at, fresh, err
	}
	s, err := v.findSource(ctx, object)
	if err != nil {
		return place{}, false, err
	}
	if err := v.admit(object, s); err != nil {
		return place{}, false, err
	}
	layout, err := v.newLayout(object, vg.Name)
	if err != nil {
		return place{}, false, err
	}
	if err := checkSize(object, vg, layout, s); err != nil {
		return place{}, false, err
	}
	if layout.Type == lvm.LayoutThin && layout.ThinPool == s.lv.ThinPool && s.vg.Name == vg.Name {
		return v.fork(ctx, object, c, vg, layout, s)
	}
	if err := v.checkFreeze(object, c, layout, s); err != nil {
		return place{}, false, err
	}
	return v.placeLV(ctx, object, c)
}

// checkSize refuses a volume smaller than its source.
func checkSize(object *v1alpha1.LogicalVolume, vg lvm.VolumeGroup, layout lvm.Layout, s source) error {
	wanted := lvm.Request{SizeBytes: object.Spec.SizeBytes, Layout: layout}.MissingBytes(vg.ExtentSizeBytes)
	least, known := s.vg.ViewBytes(s.lv)
	if !known {
		return again(codes.Unavailable, "", "the size of source %s is not known", s.lv.Name)
	}
	if wanted < least {
		return refused(codes.OutOfRange, "", "%s wanted, source %s has %s", exactBytes(wanted), s.lv.Name, exactBytes(least))
	}
	return nil
}

// fork makes the volume as a thin snapshot of its source.
func (v *volumes) fork(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig, vg lvm.VolumeGroup, layout lvm.Layout, s source,
) (at place, fresh bool, err error) {
	if reason := vg.Unusable(); reason != "" {
		return place{}, false, fmt.Errorf("%s: %w", reason, lvm.ErrUnusable)
	}
	if err := v.space(ctx, vg, c, layout).Check([]lvm.Request{{SizeBytes: object.Spec.SizeBytes, Layout: layout}}); err != nil {
		return place{}, false, err
	}
	if !v.builds.stop(object.Name) {
		return place{}, false, again(codes.Aborted, "", "an earlier %s is still being made", object.Name)
	}
	tags := tagsOf(object)
	tags.Filled, tags.LUKS = true, s.tags.LUKS
	request := lvm.SnapshotRequest{VolumeGroup: vg.Name, Name: object.Name, Origin: s.lv.Name, Tags: tags.Strings()}
	if err := v.groups.manager.Snapshot(ctx, request); err != nil {
		return place{}, false, fmt.Errorf("snapshot %s/%s of %s: %w", vg.Name, object.Name, s.lv.Name, err)
	}
	lv := lvm.LogicalVolume{
		Name: object.Name, SizeBytes: s.lv.SizeBytes, Tags: append([]string{lvm.TagOwned}, request.Tags...), Active: true,
		Type: lvm.LayoutThin, ThinPool: layout.ThinPool, Origin: s.lv.Name,
	}
	at, err = v.extendFork(ctx, object, place{vg, lv})
	return at, true, err
}

// extendFork gives a fork that is not ready the size that it was ordered with. The bytes behind its source's are not
// mapped in the pool, and read as zeros.
// The caller holds the volume group's lock.
func (v *volumes) extendFork(ctx context.Context, object *v1alpha1.LogicalVolume, at place) (place, error) {
	layout := v.layoutOnDisk(object, at.lv)
	tags := lvm.ParseTags(at.lv.Tags)
	wanted := lvm.Request{SizeBytes: object.Spec.SizeBytes, Layout: layout}.MissingBytes(at.vg.ExtentSizeBytes)
	if !tags.Filled || tags.Ready || at.lv.SizeBytes >= wanted {
		return at, nil
	}
	request := lvm.ExtendRequest{VolumeGroup: at.vg.Name, Name: object.Name, Layout: layout, SizeBytes: wanted}
	if err := v.groups.manager.Extend(ctx, request); err != nil {
		return place{}, again(codes.Aborted, "", "extend %s/%s: %w", at.vg.Name, object.Name, err)
	}
	at.lv.SizeBytes = wanted
	return at, nil
}
