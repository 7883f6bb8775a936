package lvm

import "errors"

// Errors of the arithmetic and of a Manager. pkg/csi translates them to gRPC codes in one place.
var (
	// ErrInvalidSize: the size can never be: zero, negative, or past what an int64 or an LV can hold.
	ErrInvalidSize = errors.New("size is not representable")
	// ErrNoSpace: the volume group has too few extents, is too fragmented, or its metadata area is full.
	ErrNoSpace = errors.New("not enough space in the volume group")
	// ErrInvalidLayout: a device class's layout that the arithmetic does not know.
	ErrInvalidLayout = errors.New("layout is not known")
	// ErrNotFound: no such volume group, logical volume or thin pool.
	ErrNotFound = errors.New("not found")
	// ErrExists: a logical volume of that name is there already.
	ErrExists = errors.New("already exists")
	// ErrForeign: the logical volume does not carry Berth's tag; it is not touched.
	ErrForeign = errors.New("logical volume is not Berth's")
	// ErrInUse: the logical volume is open.
	ErrInUse = errors.New("logical volume is in use")
	// ErrUnusable: the volume group is refused (shared, clustered, exported, foreign) or misses physical volumes.
	ErrUnusable = errors.New("volume group is not usable")
	// ErrBusy: an earlier command on the volume group hangs past its deadline; the volume group stays busy until
	// it ends.
	ErrBusy = errors.New("volume group is busy")
	// ErrHung: this command passed its deadline. It goes on; nothing is known of its outcome.
	ErrHung = errors.New("command passed its deadline and goes on")
	// ErrUnknownParameter and ErrInvalidParameter: a StorageClass parameter or its value.
	ErrUnknownParameter = errors.New("unknown parameter")
	ErrInvalidParameter = errors.New("invalid parameter")
)
