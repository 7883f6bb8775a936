package agent

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// layoutOf is how a volume is to be made: as its class says now, with the header that its order asks for.
func layoutOf(class lvm.DeviceClass, object *v1alpha1.LogicalVolume) lvm.Layout {
	layout := class.Layout
	layout.OverheadBytes = headerBytes(string(object.Spec.Encryption))
	return layout
}

// newLayout is the layout of a volume that is to be made in a volume group.
// Errors: a final refusal when the node serves no such class, or serves it otherwise than ordered; one that is tried again
// when the class is in another volume group by now.
func (v *volumes) newLayout(object *v1alpha1.LogicalVolume, vgName string) (lvm.Layout, error) {
	class, c, ok := v.config().Class(object.Spec.DeviceClass)
	switch {
	case !ok:
		return lvm.Layout{}, v.noClass(object)
	case c.Name != vgName:
		return lvm.Layout{}, again(codes.Aborted, "", "device class %s has moved from volume group %s to %s", class.Name, vgName, c.Name)
	case class.Encryption != string(object.Spec.Encryption):
		// Nobody gets a volume in the clear because the class was not encrypted yet when it was ordered.
		return lvm.Layout{}, refused(codes.ResourceExhausted, "", "node %s, device class %s: encryption %q is ordered, the class has %q",
			v.nodeName, class.Name, object.Spec.Encryption, class.Encryption)
	}
	return layoutOf(class, object), nil
}

func (v *volumes) noClass(object *v1alpha1.LogicalVolume) error {
	return refused(codes.ResourceExhausted, v1alpha1.ReasonInsufficientSpace,
		"node %s serves no device class %q", v.nodeName, object.Spec.DeviceClass)
}

// layoutOnDisk is how a volume lies that is there, whatever its class says by now. Copies and stripes of raid10 are told
// apart by the class; without it there are two copies.
func (v *volumes) layoutOnDisk(object *v1alpha1.LogicalVolume, lv lvm.LogicalVolume) lvm.Layout {
	class, _, _ := v.config().Class(object.Spec.DeviceClass)
	layout := lvm.Layout{Type: lv.Type}
	legs := len(lv.Legs)
	switch lv.Type {
	case lvm.LayoutStriped:
		layout.Stripes = legs
	case lvm.LayoutRAID1:
		layout.Mirrors = legs
	case lvm.LayoutRAID5:
		layout.Stripes = legs - 1
	case lvm.LayoutRAID6:
		layout.Stripes = legs - 2
	case lvm.LayoutRAID10:
		layout.Stripes, layout.Mirrors = legs/2, 2
		if class.Layout.Type == lv.Type && class.Layout.Legs() == legs {
			layout.Stripes, layout.Mirrors = class.Layout.Stripes, class.Layout.Mirrors
		}
	case lvm.LayoutThin:
		layout.ThinPool, layout.OverprovisionPercent = lv.ThinPool, 100
		if class.Layout.ThinPool == lv.ThinPool {
			layout.OverprovisionPercent = class.Layout.OverprovisionPercent
		}
	}
	layout.OverheadBytes = headerBytes(string(object.Spec.Encryption))
	return layout
}

// space is what a volume group offers a layout, a thin pool as full as it is now.
func (v *volumes) space(ctx context.Context, vg lvm.VolumeGroup, c VolumeGroupConfig, layout lvm.Layout) *lvm.Space {
	space := vg.Space(c.HeldBytes())
	if layout.Type == lvm.LayoutThin {
		space.ThinPools = slices.Clone(space.ThinPools)
		v.pools.fresh(ctx, vg.Name, space, layout.ThinPool)
	}
	return space
}

// asHeld is a volume group's configuration as it is under the volume group's lock: growth may have taken of the reserve
// while this one waited for it.
func (v *volumes) asHeld(c VolumeGroupConfig) VolumeGroupConfig {
	if now, ok := v.config().VolumeGroup(c.Name); ok {
		return now
	}
	return c
}

// wantedBytes is the size of the LV that an order asks for, before rounding.
func wantedBytes(object *v1alpha1.LogicalVolume) int64 {
	return lvm.SaturatingAdd(object.Spec.SizeBytes, headerBytes(string(object.Spec.Encryption)))
}

// zeroed tells whether a thin volume's bytes are zero where it has not been written.
func zeroed(vg lvm.VolumeGroup, lv lvm.LogicalVolume) bool {
	pool, ok := thinPoolOf(vg, lv.ThinPool)
	return ok && pool.Zeroes
}
