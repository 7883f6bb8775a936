package agent

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// maintain looks after a volume that is Ready: is its LV there, and is it to grow? It never creates or formats. done
// is true when it grew.
func (v *volumes) maintain(ctx context.Context, object *v1alpha1.LogicalVolume) (done bool, err error) {
	if err := v.writeHealth(ctx, object); err != nil {
		return false, err
	}
	status := object.Status
	if wantedBytes(object) <= status.AllocatedBytes {
		if err := v.stopGrowing(ctx, object); err != nil {
			return false, err
		}
		return false, v.dropRefusal(ctx, object)
	}
	// A refused expansion is asked again by a change of the object, not by the passing of time.
	if status.Code == codes.OutOfRange.String() && status.ObservedGeneration == object.Generation {
		return false, nil
	}
	return v.expand(ctx, object)
}

// dropRefusal clears what an expansion left behind that has since been taken back.
func (v *volumes) dropRefusal(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	if object.Status.Code == "" && object.Status.ObservedGeneration == object.Generation {
		return nil
	}
	_, _, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, generation int64) {
		status.Code, status.Message, status.ObservedGeneration = "", "", generation
	})
	return err
}

// expand grows the LV, and writes its size as LVM then reports it.
func (v *volumes) expand(ctx context.Context, object *v1alpha1.LogicalVolume) (done bool, err error) {
	c, ok := v.config().VolumeGroup(object.Status.VolumeGroup.Name)
	if !ok {
		return false, again(codes.Unavailable, "", "volume group %s is not configured on node %s", object.Status.VolumeGroup.Name, v.nodeName)
	}
	unlock, err := v.groups.lock(ctx, c.Name)
	if err != nil {
		return false, err
	}
	defer unlock()
	c = v.asHeld(c)
	vg, err := v.groups.current(ctx, c.Name)
	if err != nil {
		return false, err
	}
	g, err := v.growthOf(object, vg)
	if err != nil {
		return false, err
	}
	if object.Spec.FSType == "" && g.lv.Type != lvm.LayoutThin {
		return v.growBlock(ctx, object, c, g)
	}
	if err := v.extendLV(ctx, object, c, g); err != nil {
		return false, err
	}
	return true, v.writeGrown(ctx, object, c.Name)
}

// growth is what an expansion is to do.
type growth struct {
	vg lvm.VolumeGroup
	lv lvm.LogicalVolume
	// layout is the LV's as it was made.
	layout lvm.Layout
	// wanted is the size as LVM will give it.
	wanted int64
}

// missing is how much the LV lacks of the size wanted; 0 if it has that size or a larger one.
func (g growth) missing() int64 { return max(g.wanted-g.lv.SizeBytes, 0) }

// growthOf looks at the LV, and refuses what cannot grow without showing what was on its new extents before.
func (v *volumes) growthOf(object *v1alpha1.LogicalVolume, vg lvm.VolumeGroup) (growth, error) {
	lv, ok := vg.LogicalVolume(object.Name)
	if !ok {
		return growth{}, again(codes.FailedPrecondition, "", "logical volume %s/%s is missing", vg.Name, object.Name)
	}
	g := growth{vg: vg, lv: lv, layout: v.layoutOnDisk(object, lv)}
	missing := g.request(object).MissingBytes(vg.ExtentSizeBytes)
	if missing == lvm.MaxBytes {
		return growth{}, refused(codes.OutOfRange, "", "expand %s/%s, %s, to %s: %w", vg.Name, lv.Name, lv.Type,
			exactBytes(object.Spec.SizeBytes), lvm.ErrInvalidSize)
	}
	g.wanted = lv.SizeBytes + missing
	if object.Spec.FSType != "" || missing == 0 {
		return g, nil
	}
	switch {
	case g.layout.Legs() > 0:
		return growth{}, refused(codes.OutOfRange, "", "expand %s/%s: a block volume of layout %s does not grow", vg.Name, lv.Name, lv.Type)
	case lv.Type == lvm.LayoutThin && !zeroed(vg, lv):
		return growth{}, refused(codes.OutOfRange, "", "expand %s/%s: a block volume does not grow in thin pool %s, which does not zero",
			vg.Name, lv.Name, lv.ThinPool)
	}
	return g, nil
}

// request is the volume as it is to be, besides what it has.
func (g growth) request(object *v1alpha1.LogicalVolume) lvm.Request {
	return lvm.Request{SizeBytes: object.Spec.SizeBytes, IncludedBytes: g.lv.SizeBytes, Layout: g.layout}
}

// writeGrown writes the volume's size as LVM then reports it; the caller holds the volume group's lock.
func (v *volumes) writeGrown(ctx context.Context, object *v1alpha1.LogicalVolume, vgName string) error {
	if err := v.groups.report(ctx); err != nil {
		return err
	}
	vg, err := v.groups.asKnown(vgName)
	if err != nil {
		return err
	}
	return v.writeReady(ctx, object, vg, false)
}

// extendLV takes the new extents for a volume whose file system never shows what was on them.
func (v *volumes) extendLV(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig, g growth) error {
	if g.missing() == 0 {
		return nil
	}
	placement, err := v.placeGrowth(ctx, object, c, g)
	if err != nil {
		return err
	}
	err = v.groups.manager.Extend(ctx, lvm.ExtendRequest{
		VolumeGroup: g.vg.Name, Name: object.Name, Layout: g.layout, SizeBytes: g.wanted, PhysicalVolumes: placement.PhysicalVolumes,
	})
	return v.growthError(ctx, c, g, err)
}

// placeGrowth fits the new extents, or the new bytes of a thin volume, into the volume group as it is now.
func (v *volumes) placeGrowth(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig, g growth) (lvm.Placement, error) {
	if reason := g.vg.Unusable(); reason != "" {
		return lvm.Placement{}, refused(codes.OutOfRange, v1alpha1.ReasonInsufficientSpace, "volume group %s: %s: %w", g.vg.Name, reason, lvm.ErrUnusable)
	}
	placement, err := v.space(ctx, g.vg, c, g.layout).PlaceGrowth(g.request(object), g.lv)
	if err != nil {
		return lvm.Placement{}, v.growthError(ctx, c, g, err)
	}
	return placement, nil
}

// growthError refuses an expansion for which there is no room; other errors are tried again.
func (v *volumes) growthError(ctx context.Context, c VolumeGroupConfig, g growth, err error) error {
	for _, final := range []error{lvm.ErrNoSpace, lvm.ErrUnusable, lvm.ErrInvalidLayout, lvm.ErrInvalidSize} {
		if !errors.Is(err, final) {
			continue
		}
		v.publisher.insist()
		return refused(codes.OutOfRange, v1alpha1.ReasonInsufficientSpace, "expand %s/%s from %s to %s: %s free: %w", g.vg.Name, g.lv.Name,
			exactBytes(g.lv.SizeBytes), exactBytes(g.wanted), exactBytes(v.space(ctx, g.vg, c, g.layout).FreeBytesFor(g.layout)), err)
	}
	if err != nil {
		return fmt.Errorf("expand %s/%s: %w", g.vg.Name, g.lv.Name, err)
	}
	return nil
}
