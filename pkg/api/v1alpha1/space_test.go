package v1alpha1_test

import (
	"testing"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

func TestVolumeLayout(t *testing.T) {
	for _, layout := range []lvm.Layout{
		{Type: lvm.LayoutLinear, OverheadBytes: 1},
		{Type: lvm.LayoutRAID10, Stripes: 3, StripeSizeBytes: 4096, Mirrors: 2},
		{Type: lvm.LayoutThin, ThinPool: "pool", OverprovisionPercent: 500},
	} {
		status := v1alpha1.NewDeviceClassStatus(lvm.DeviceClass{Name: "c", VolumeGroup: "vg", Default: true, Layout: layout})
		if got := status.VolumeLayout(); got != layout || status.Name != "c" || status.VolumeGroup != "vg" || !status.Default {
			t.Errorf("%+v became %+v, and that %+v", layout, status, got)
		}
	}
	if status := v1alpha1.NewDeviceClassStatus(lvm.DeviceClass{}); status.Layout != v1alpha1.LayoutLinear {
		t.Errorf("a class without a layout is published as %q", status.Layout)
	}
	// What an older agent or a later one says.
	if got := (&v1alpha1.DeviceClassStatus{}).VolumeLayout(); got != (lvm.Layout{Type: lvm.LayoutLinear}) {
		t.Errorf("no layout is %+v", got)
	}
	if (&v1alpha1.DeviceClassStatus{Layout: "raid7", Stripes: 2}).VolumeLayout().Validate() == nil {
		t.Error("an unknown layout is known")
	}
}

func TestSpace(t *testing.T) {
	group := v1alpha1.VolumeGroupStatus{
		ExtentSizeBytes: 4, SpareBytes: 8, GrowthReserveBytes: 4,
		PhysicalVolumes: []v1alpha1.PhysicalVolumeStatus{
			{Name: "open", FreeBytes: 40, Allocatable: true}, {Name: "closed", FreeBytes: 40}, {Name: "gone", FreeBytes: 40, Allocatable: true, Missing: true},
		},
		ThinPools: []v1alpha1.ThinPoolStatus{{Name: "pool", SizeBytes: 100, MetadataSizeBytes: 10, VirtualBytes: 60, DataUsedBytes: 1, MetadataUsedBytes: 2}},
	}
	space := group.Space()
	if space.FreeBytes() != 28 || space.ExtentSizeBytes != 4 {
		t.Errorf("%+v, want 40 - 8 - 4 bytes free", space)
	}
	want := lvm.ThinPool{Name: "pool", SizeBytes: 100, MetadataSizeBytes: 10, VirtualBytes: 60, DataUsedBytes: 1, MetadataUsedBytes: 2}
	if len(space.ThinPools) != 1 || space.ThinPools[0] != want {
		t.Errorf("pools %+v, want %+v", space.ThinPools, want)
	}
}
