package agent

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// createSnapshot makes what an accepted snapshot orders, in one turn: the LV and its ready tag, then phase Ready. Nothing
// is erased or formatted: its bytes are those of its volume.
func (v *volumes) createSnapshot(ctx context.Context, object *v1alpha1.LogicalVolume) (done bool, err error) {
	c, err := v.volumeGroupOfSnapshot(ctx, object)
	if err != nil {
		return false, err
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
	if lv, ok := vg.LogicalVolume(object.Name); !ok {
		err = v.takeSnapshot(ctx, object, c, vg)
	} else if tags := lvm.ParseTags(lv.Tags); !tags.Owned || !tags.Snapshot {
		err = fmt.Errorf("%s/%s: %w", vg.Name, lv.Name, lvm.ErrForeign)
	}
	if finalRefusal(err) {
		return false, v.refuse(ctx, object, c, err)
	}
	if err != nil {
		return false, err
	}
	if vg, err = v.groups.finish(ctx, vg.Name, object.Name); err != nil {
		return false, fmt.Errorf("finish %s/%s: %w", c.Name, object.Name, err)
	}
	return true, v.writeReady(ctx, object, vg, false)
}

// volumeGroupOfSnapshot is where the snapshot is already, else where its volume is: the device class may have moved.
func (v *volumes) volumeGroupOfSnapshot(ctx context.Context, object *v1alpha1.LogicalVolume) (VolumeGroupConfig, error) {
	at, ok := v.groups.find(object.Name)
	if !ok {
		s, err := v.findSource(ctx, object)
		if err != nil {
			return VolumeGroupConfig{}, err
		}
		at = s.place
	}
	c, ok := v.config().VolumeGroup(at.vg.Name)
	if !ok {
		return VolumeGroupConfig{}, again(codes.Unavailable, "", "volume group %s is not configured on node %s", at.vg.Name, v.nodeName)
	}
	return c, nil
}

// takeSnapshot makes the LV; the caller holds the volume group's lock.
func (v *volumes) takeSnapshot(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig, vg lvm.VolumeGroup) error {
	s, err := v.findSource(ctx, object)
	if err != nil {
		return err
	}
	if err := v.admit(object, s); err != nil {
		return err
	}
	if reason := vg.Unusable(); reason != "" {
		return fmt.Errorf("%s: %w", reason, lvm.ErrUnusable)
	}
	space := vg.Space(c.HeldBytes())
	if s.lv.ThinPool != "" {
		// It may come to be all its own, so it counts as its volume does.
		layout := v.thinLayout(object.Spec.DeviceClass, c.Name, s.lv.ThinPool)
		if err := v.space(ctx, vg, c, layout).Check([]lvm.Request{{SizeBytes: s.lv.SizeBytes, Layout: layout}}); err != nil {
			return err
		}
	}
	request, err := placeSnapshot(space, vg, s.lv, object.Name, object.Spec.SizeBytes)
	if err != nil {
		return err
	}
	tags := tagsOf(object)
	tags.Snapshot, tags.LUKS, tags.FSType = true, s.tags.LUKS, s.tags.FSType
	request.Tags = tags.Strings()
	if err := v.groups.manager.Snapshot(ctx, request); err != nil {
		return fmt.Errorf("snapshot %s/%s of %s: %w", vg.Name, object.Name, s.lv.Name, err)
	}
	return nil
}

// placeSnapshot chooses where a snapshot's changes go: nowhere for one in a thin pool; else linear, and no more bytes
// than the snapshot can ever take.
// Errors: those of Space.Place.
func placeSnapshot(space *lvm.Space, vg lvm.VolumeGroup, origin lvm.LogicalVolume, name string, bytes int64) (lvm.SnapshotRequest, error) {
	request := lvm.SnapshotRequest{VolumeGroup: vg.Name, Name: name, Origin: origin.Name}
	if origin.ThinPool != "" {
		return request, nil
	}
	placement, err := space.Place(lvm.Request{SizeBytes: min(bytes, lvm.MaximumSnapshotBytes(origin.SizeBytes, vg.ExtentSizeBytes))})
	if err != nil {
		return lvm.SnapshotRequest{}, err
	}
	request.SizeBytes, request.PhysicalVolumes = placement.SizeBytes, placement.PhysicalVolumes
	return request, nil
}

// thinLayout is how volumes of a pool are held to its size: by the class named, if it is of that pool, else by the
// strictest that is, else without overprovisioning.
func (v *volumes) thinLayout(className, vgName, pool string) lvm.Layout {
	layout := lvm.Layout{Type: lvm.LayoutThin, ThinPool: pool}
	for _, class := range v.config().DeviceClasses {
		if class.VolumeGroup != vgName || class.Layout.Type != lvm.LayoutThin || class.Layout.ThinPool != pool {
			continue
		}
		percent := class.Layout.OverprovisionPercent
		if class.Name == className {
			layout.OverprovisionPercent = percent
			break
		}
		if layout.OverprovisionPercent == 0 || percent < layout.OverprovisionPercent {
			layout.OverprovisionPercent = percent
		}
	}
	layout.OverprovisionPercent = max(layout.OverprovisionPercent, 100)
	return layout
}
