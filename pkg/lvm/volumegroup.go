package lvm

// VolumeGroup is one volume group as LVM reported it.
type VolumeGroup struct {
	Name string
	// UUID is vg_uuid. Two volume groups of one name on one host are told apart by it.
	UUID string
	// Seqno is vg_seqno.
	Seqno           int64
	ExtentSizeBytes int64
	SizeBytes       int64
	// FreeBytes counts the free extents of all physical volumes, closed and missing ones included, as vg_free does.
	FreeBytes int64
	// Tags are the volume group's own. One that Berth made carries TagOwned.
	Tags []string
	// MetadataFreeBytes is vg_mda_free: what is left of the smallest metadata area.
	MetadataFreeBytes int64
	// MissingPhysicalVolumes is vg_missing_pv_count.
	MissingPhysicalVolumes int
	// Refusal says why Berth must not use this volume group at all: shared, clustered, exported, foreign; empty if
	// it may.
	Refusal         string
	PhysicalVolumes []PhysicalVolume
	LogicalVolumes  []LogicalVolume
	// ThinPools are all of the volume group's, Berth's or not, with VirtualBytes of all volumes in them. The used bytes
	// are as LVM's two digits of percent tell; ThinPoolStatus of pkg/lvm/dm tells them exactly.
	ThinPools []ThinPool
}

// UnknownDevice is what LVM calls a device that it cannot find.
const UnknownDevice = "[unknown]"

// PhysicalVolume is one physical volume of a volume group.
type PhysicalVolume struct {
	// Name is the device's path, or UnknownDevice and the UUID when the device is missing.
	Name      string
	UUID      string
	SizeBytes int64
	FreeBytes int64
	// Allocatable is false when the operator closed it (pvchange -x n).
	Allocatable bool
	Missing     bool
}

// LogicalVolume is one visible logical volume.
type LogicalVolume struct {
	Name      string
	UUID      string
	SizeBytes int64
	Tags      []string
	// Active is true when the device exists in the kernel.
	Active bool
	// Open is true when the device is open: mounted, held or in use by a pod.
	Open bool
	// Type is how it is made; of an LV that Berth knows no layout for, LVM's own words.
	Type LayoutType
	// Legs are the physical volumes under each stripe, copy or parity, RAID metadata included; none for other layouts.
	Legs [][]string
	// ThinPool is the pool of a thin volume. Origin is what a snapshot, thin or thick, is of, while that exists.
	ThinPool, Origin string
	// Invalid is true of a thick snapshot that overflowed.
	Invalid bool
	// Health is LVM's lv_health_status: empty, or what is wrong with a RAID volume or a pool.
	Health string
}

// TypeThinPool is the type of a thin pool, which no volume has. Berth's pools are tagged as its volumes are.
const TypeThinPool LayoutType = "thin-pool"

// LogicalVolume finds an LV by name.
func (vg *VolumeGroup) LogicalVolume(name string) (LogicalVolume, bool) {
	for _, lv := range vg.LogicalVolumes {
		if lv.Name == name {
			return lv, true
		}
	}
	return LogicalVolume{}, false
}

// Unusable returns why new volumes cannot be made in the volume group, or "" if they can.
func (vg *VolumeGroup) Unusable() string {
	if vg.Refusal != "" {
		return vg.Refusal
	}
	if vg.MissingPhysicalVolumes > 0 {
		return "physical volumes are missing"
	}
	return ""
}
