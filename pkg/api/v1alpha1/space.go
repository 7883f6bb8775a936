package v1alpha1

import "github.com/berth-dev/berth/pkg/lvm"

// Space is a reported volume group as arithmetic wants it.
func (g *VolumeGroupStatus) Space() *lvm.Space {
	space := &lvm.Space{
		ExtentSizeBytes: g.ExtentSizeBytes,
		HeldBytes:       lvm.SaturatingAdd(g.SpareBytes, g.GrowthReserveBytes),
	}
	for i := range g.PhysicalVolumes {
		if pv := &g.PhysicalVolumes[i]; pv.Allocatable && !pv.Missing {
			space.PhysicalVolumes = append(space.PhysicalVolumes, lvm.FreeSpace{Name: pv.Name, FreeBytes: pv.FreeBytes})
		}
	}
	for _, pool := range g.ThinPools {
		space.ThinPools = append(space.ThinPools, lvm.ThinPool{
			Name: pool.Name, SizeBytes: pool.SizeBytes, DataUsedBytes: pool.DataUsedBytes,
			MetadataSizeBytes: pool.MetadataSizeBytes, MetadataUsedBytes: pool.MetadataUsedBytes, VirtualBytes: pool.VirtualBytes,
		})
	}
	return space
}

// NewThinPoolStatus reports a thin pool.
func NewThinPoolStatus(pool lvm.ThinPool) ThinPoolStatus {
	return ThinPoolStatus{
		Name: pool.Name, SizeBytes: pool.SizeBytes, DataUsedBytes: pool.DataUsedBytes,
		MetadataSizeBytes: pool.MetadataSizeBytes, MetadataUsedBytes: pool.MetadataUsedBytes, VirtualBytes: pool.VirtualBytes,
	}
}

// VolumeLayout is the layout of the class's volumes. It need not be one that lvm.Layout.Validate knows.
func (c *DeviceClassStatus) VolumeLayout() lvm.Layout {
	layout := lvm.Layout{
		Type: lvm.LayoutType(c.Layout), Stripes: int(c.Stripes), StripeSizeBytes: c.StripeSizeBytes, Mirrors: int(c.Mirrors),
		ThinPool: c.ThinPool, OverprovisionPercent: c.OverprovisionPercent, OverheadBytes: c.OverheadBytes,
	}
	if layout.Type == "" {
		layout.Type = lvm.LayoutLinear
	}
	return layout
}

// NewDeviceClassStatus reports a device class.
func NewDeviceClassStatus(class lvm.DeviceClass) DeviceClassStatus {
	layout := class.Layout
	status := DeviceClassStatus{
		Name: class.Name, VolumeGroup: class.VolumeGroup, Default: class.Default, Layout: LayoutType(layout.Type),
		Stripes: int32(layout.Stripes), StripeSizeBytes: layout.StripeSizeBytes, Mirrors: int32(layout.Mirrors),
		ThinPool: layout.ThinPool, OverprovisionPercent: layout.OverprovisionPercent, OverheadBytes: layout.OverheadBytes,
		Encryption: Encryption(class.Encryption),
	}
	if status.Layout == "" {
		status.Layout = LayoutLinear
	}
	return status
}
