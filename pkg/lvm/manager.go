package lvm

import "context"

// Manager speaks to one host's LVM. It is safe for concurrent use: changing commands are serialised per volume
// group, volumes of different volume groups do not wait for each other.
//
// Implementations: lvmcli runs LVM, lvmfake does the arithmetic in memory; lvmtest holds both to this contract.
type Manager interface {
	// Report returns the named volume groups as they are now, in one consistent view, with one execution of LVM.
	// A volume group that is not found is not in the result. One that LVM does not open (another host's, shared,
	// or one of several of its name) is there with its name and a Refusal only.
	// Errors: context errors; anything else means that nothing is known.
	Report(ctx context.Context, volumeGroups []string) (Report, error)

	// Create makes an LV with Berth's tag and the tags given, active, its signatures wiped, on the physical volumes
	// given. It is one execution of LVM and does not report; layouts with legs take more (docs/design.md, Layouts), and
	// one of these that died may have left an LV that LogicalVolume.Made tells: it is to be removed.
	// Errors: ErrNoSpace, ErrExists, ErrNotFound (volume group or thin pool), ErrInvalidSize, ErrInvalidLayout,
	// ErrUnusable, ErrBusy, ErrHung.
	Create(ctx context.Context, request CreateRequest) error

	// CreatePool makes a thin pool with Berth's tag, active, that zeroes what it gives out.
	// Errors: those of Create.
	CreatePool(ctx context.Context, request PoolRequest) error

	// ExtendPool grows a thin pool's data and metadata to the sizes given; smaller ones are left as they are. The pool
	// may be anybody's: growing it harms nobody.
	// Errors: ErrNoSpace, ErrNotFound, ErrUnusable, ErrBusy, ErrHung.
	ExtendPool(ctx context.Context, request PoolRequest) error

	// Snapshot makes a snapshot of an LV of Berth's with Berth's tag and the tags given, active. It looks at the origin
	// first: lvcreate takes one by its name only. A thick snapshot is made no larger than it can ever come to.
	// Errors: ErrNoSpace, ErrExists, ErrNotFound (volume group or origin), ErrForeign (origin), ErrInvalidSize (none for
	// a thick one, or one for a thin one), ErrUnusable, ErrBusy, ErrHung.
	Snapshot(ctx context.Context, request SnapshotRequest) error

	// Tag adds tags to an LV of Berth's. Adding them twice is the same as once.
	// Errors: ErrNotFound, ErrForeign, ErrBusy, ErrHung.
	Tag(ctx context.Context, volumeGroup, name string, tags ...string) error

	// Finish adds the ready tag to an LV of Berth's and returns its volume group as it then is, with one execution
	// of LVM. Finishing twice is the same as once.
	// Errors: ErrNotFound, ErrForeign, ErrBusy, ErrHung.
	Finish(ctx context.Context, volumeGroup, name string) (Report, error)

	// Extend grows an LV of Berth's to sizeBytes (rounded up to extents by LVM) on the physical volumes given, the legs
	// of one that has legs on their own (Space.PlaceGrowth). An LV that is that large already is left as it is.
	// Errors: ErrNoSpace, ErrNotFound, ErrForeign, ErrInUse (it has thick snapshots), ErrInvalidLayout (not the LV's),
	// ErrUnusable, ErrBusy, ErrHung.
	Extend(ctx context.Context, request ExtendRequest) error

	// Absorb extends an LV of Berth's onto exactly the extents of another one, the donor, which is removed; what is on
	// the extents stays there. No change by other LVM commands comes between a look at the donor, its removal and
	// the extension. It returns the volume group as it then is.
	//
	// LVM has no one change for it: an Absorb that died, or failed with ErrNoSpace, may have left the donor removed
	// and the LV as it was. Bytes that the donor did not hold are not in the LV either way.
	// Errors: ErrNotFound (volume group, LV, or donor of that UUID), ErrForeign, ErrInUse (the donor, or the LV has thick
	// snapshots), ErrInvalidLayout (one is not linear), ErrNoSpace, ErrUnusable, ErrBusy, ErrHung.
	Absorb(ctx context.Context, request AbsorbRequest) (Report, error)

	// Remove removes an LV of Berth's. One that is not there is no error; a volume group that is not there is one,
	// because its disks may come back with the LV on them. Nothing else goes with it: an LV with thick snapshots is in
	// use, thin ones live on without their origin, and a pool is nobody's to remove.
	// Errors: ErrNotFound (volume group), ErrForeign (or a pool), ErrInUse, ErrUnusable, ErrBusy, ErrHung.
	Remove(ctx context.Context, volumeGroup, name string) error

	// CreateVolumeGroup makes a volume group of whole devices, with Berth's tag and a large metadata area. A device that
	// carries a signature or is in use is left as it is, and the volume group is not made.
	// Errors: ErrExists (a volume group of that name is there, or was here and may come back), ErrNotFound (a device),
	// ErrInUse (a device is open, carries a signature or is another volume group's), ErrBusy, ErrHung.
	CreateVolumeGroup(ctx context.Context, name string, devices []string) error

	// ExtendVolumeGroup adds whole devices to a volume group; they are refused as CreateVolumeGroup refuses them, a
	// device that is in this volume group already too.
	// Errors: ErrNotFound (volume group or device), ErrInUse, ErrUnusable, ErrBusy, ErrHung.
	ExtendVolumeGroup(ctx context.Context, name string, devices []string) error

	// ResizePhysicalVolume makes a physical volume as large as its device has become. It never shrinks one.
	// Errors: ErrNotFound, ErrUnusable, ErrBusy, ErrHung.
	ResizePhysicalVolume(ctx context.Context, volumeGroup, device string) error

	// Adopt makes an LV that carries TagAdopt Berth's and ready, with the tags given; TagAdopt goes. Nothing else of it
	// changes. It returns the volume group as it then is. Adopting twice is the same as once.
	// Errors: ErrNotFound, ErrForeign (it carries neither TagAdopt nor TagOwned), ErrUnusable, ErrBusy, ErrHung.
	Adopt(ctx context.Context, volumeGroup, name string, tags ...string) (Report, error)

	// Activate makes the named LVs of one volume group usable, after a reboot for instance.
	// Errors: ErrNotFound, ErrBusy, ErrHung.
	Activate(ctx context.Context, volumeGroup string, names []string) error

	// DevicePath is where an active LV's device is. It says nothing about whether the LV exists.
	DevicePath(volumeGroup, name string) string
}

// Report is what LVM said at one moment.
type Report struct {
	// VolumeGroups by name.
	VolumeGroups map[string]VolumeGroup
}

// CreateRequest asks for an LV.
type CreateRequest struct {
	VolumeGroup string
	// Name is the volume ID.
	Name string
	// Layout is how it lies; the zero value is linear.
	Layout Layout
	// SizeBytes is a positive multiple of the volume group's extent size times the layout's stripes: Placement.SizeBytes.
	SizeBytes int64
	// Tags are added besides TagOwned.
	Tags []string
	// PhysicalVolumes are the devices the LV may lie on, as Place chose them, one for each leg; empty for a thin volume.
	PhysicalVolumes []string
}

// PoolRequest asks for a thin pool, or for a larger one.
type PoolRequest struct {
	VolumeGroup, Name string
	// SizeBytes and MetadataSizeBytes are multiples of the extent size. With the metadata goes a spare of the same size,
	// for repairs, one for the whole volume group.
	SizeBytes, MetadataSizeBytes int64
	PhysicalVolumes              []string
	// ErrorWhenFull makes writes to a full pool fail at once, rather than wait for it to grow.
	ErrorWhenFull bool
}

// SnapshotRequest asks for a snapshot.
type SnapshotRequest struct {
	VolumeGroup, Name string
	Origin            string
	// SizeBytes is what the changes since may come to, a multiple of the extent size, on the physical volumes given; 0
	// for a snapshot of a thin volume, in the same pool.
	SizeBytes       int64
	PhysicalVolumes []string
	Tags            []string
}

// ExtendRequest asks for a larger LV.
type ExtendRequest struct {
	VolumeGroup string
	Name        string
	// Layout is the LV's own, as it was made; linear for a thick snapshot.
	Layout          Layout
	SizeBytes       int64
	PhysicalVolumes []string
}

// AbsorbRequest asks for an LV that is larger by another one.
type AbsorbRequest struct {
	VolumeGroup string
	Name        string
	// Donor is the linear LV that gives its extents; DonorUUID tells it from a later one of its name.
	Donor, DonorUUID string
}
