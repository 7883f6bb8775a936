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

	// Create makes a linear LV with Berth's tag and the tags given, active, its signatures wiped, on the physical
	// volumes given. It is one execution of LVM and does not report.
	// Errors: ErrNoSpace, ErrExists, ErrNotFound (volume group), ErrUnusable, ErrBusy, ErrHung.
	Create(ctx context.Context, request CreateRequest) error

	// Finish adds the ready tag to an LV of Berth's and returns its volume group as it then is, with one execution
	// of LVM. Finishing twice is the same as once.
	// Errors: ErrNotFound, ErrForeign, ErrBusy, ErrHung.
	Finish(ctx context.Context, volumeGroup, name string) (Report, error)

	// Extend grows an LV of Berth's to sizeBytes (rounded up to extents by LVM) on the physical volumes given. An LV
	// that is that large already is left as it is.
	// Errors: ErrNoSpace, ErrNotFound, ErrForeign, ErrUnusable, ErrBusy, ErrHung.
	Extend(ctx context.Context, request ExtendRequest) error

	// Absorb extends an LV of Berth's onto exactly the extents of another one, the donor, which is removed; what is on
	// the extents stays there. No change by other LVM commands comes between a look at the donor, its removal and
	// the extension. It returns the volume group as it then is.
	//
	// LVM has no one change for it: an Absorb that died, or failed with ErrNoSpace, may have left the donor removed
	// and the LV as it was. Bytes that the donor did not hold are not in the LV either way.
	// Errors: ErrNotFound (volume group, LV, or donor of that UUID), ErrForeign, ErrInUse (the donor), ErrNoSpace,
	// ErrUnusable, ErrBusy, ErrHung.
	Absorb(ctx context.Context, request AbsorbRequest) (Report, error)

	// Remove removes an LV of Berth's. One that is not there is no error; a volume group that is not there is one,
	// because its disks may come back with the LV on them.
	// Errors: ErrNotFound (volume group), ErrForeign, ErrInUse, ErrUnusable, ErrBusy, ErrHung.
	Remove(ctx context.Context, volumeGroup, name string) error

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

// CreateRequest asks for a linear LV.
type CreateRequest struct {
	VolumeGroup string
	// Name is the volume ID.
	Name string
	// SizeBytes is a positive multiple of the volume group's extent size.
	SizeBytes int64
	// Tags are added besides TagOwned.
	Tags []string
	// PhysicalVolumes are the devices the LV may lie on, as Fit chose them; never empty.
	PhysicalVolumes []string
}

// ExtendRequest asks for a larger LV.
type ExtendRequest struct {
	VolumeGroup     string
	Name            string
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
