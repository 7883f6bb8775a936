package lvm

import "fmt"

// LayoutType is how a volume's extents lie on the physical volumes.
type LayoutType string

// The layouts. Stripes, copies and parity are legs: each leg lies on one physical volume, no two on the same.
const (
	// LayoutLinear takes extents anywhere, on as few physical volumes as hold it. The empty type means it, too.
	LayoutLinear LayoutType = "linear"
	// LayoutStriped spreads the bytes over Stripes legs.
	LayoutStriped LayoutType = "striped"
	// LayoutRAID1 keeps Mirrors copies, one on each leg.
	LayoutRAID1 LayoutType = "raid1"
	// LayoutRAID5 and LayoutRAID6 spread the bytes over Stripes legs and add one or two legs' worth of parity.
	LayoutRAID5 LayoutType = "raid5"
	LayoutRAID6 LayoutType = "raid6"
	// LayoutRAID10 spreads the bytes over Stripes and keeps Mirrors copies of each: Stripes × Mirrors legs.
	LayoutRAID10 LayoutType = "raid10"
	// LayoutThin takes bytes of a thin pool when they are written, and of the volume group none.
	LayoutThin LayoutType = "thin"
)

// Limits of LVM 2.03: lvcreate(8) on --stripes, and DEFAULT_RAID_MAX_IMAGES and DEFAULT_RAID1_MAX_IMAGES of its source.
const (
	maxStripes     = 128
	maxRAIDLegs    = 64
	maxRAID1Copies = 10
)

// Layout is a device class's layout. The zero value is linear. It is comparable.
type Layout struct {
	Type LayoutType
	// Stripes is the number of legs that the bytes are spread over, parity not counted: striped, raid5, raid6, raid10.
	Stripes int
	// StripeSizeBytes is what goes to one leg before the next; 0 for LVM's own choice. It has no part in a volume's size.
	StripeSizeBytes int64
	// Mirrors is the number of copies: raid1, raid10.
	Mirrors int
	// ThinPool names the pool of a thin layout; the virtual bytes of all its volumes may be OverprovisionPercent of its
	// size, 100 or more.
	ThinPool             string
	OverprovisionPercent int64
	// OverheadBytes are added to what a claim asks for, before rounding: the header of an encrypted volume.
	OverheadBytes int64
}

// Validate tells whether the arithmetic knows the layout. A layout that it does not know must not be taken for another.
// Errors: ErrInvalidLayout.
func (l Layout) Validate() error {
	if l.OverheadBytes < 0 {
		return fmt.Errorf("%w: overhead of %d bytes", ErrInvalidLayout, l.OverheadBytes)
	}
	ok := true
	switch l.Type {
	case "", LayoutLinear:
	case LayoutStriped:
		ok = between(2, l.Stripes, maxStripes)
	case LayoutRAID1:
		ok = between(2, l.Mirrors, maxRAID1Copies)
	case LayoutRAID5:
		ok = between(2, l.Stripes, maxRAIDLegs-1)
	case LayoutRAID6:
		ok = between(3, l.Stripes, maxRAIDLegs-2)
	case LayoutRAID10:
		ok = between(2, l.Stripes, maxRAIDLegs) && between(2, l.Mirrors, maxRAIDLegs) && l.Stripes*l.Mirrors <= maxRAIDLegs
	case LayoutThin:
		ok = l.ThinPool != "" && l.OverprovisionPercent >= 100
	default:
		return fmt.Errorf("%w: unknown type %q", ErrInvalidLayout, l.Type)
	}
	if !ok {
		return fmt.Errorf("%w: %s of %d stripes, %d mirrors, thin pool %q at %d %%", ErrInvalidLayout, l.Type,
			l.Stripes, l.Mirrors, l.ThinPool, l.OverprovisionPercent)
	}
	return nil
}

func between(least, n, most int) bool { return least <= n && n <= most }

// Legs is the number of physical volumes that a volume needs at once; 0 where any will do.
func (l Layout) Legs() int {
	switch l.Type {
	case LayoutStriped:
		return l.Stripes
	case LayoutRAID1:
		return l.Mirrors
	case LayoutRAID5:
		return l.Stripes + 1
	case LayoutRAID6:
		return l.Stripes + 2
	case LayoutRAID10:
		return l.Stripes * l.Mirrors
	}
	return 0
}

// Snapshot is how a snapshot of a volume of this layout lies: in the volume's thin pool, else as a copy-on-write LV on any
// physical volumes.
func (l Layout) Snapshot() Layout {
	if l.Type == LayoutThin {
		return l
	}
	return Layout{Type: LayoutLinear}
}

// stripes is the number that a volume's extents must be a multiple of.
func (l Layout) stripes() int64 {
	switch l.Type {
	case LayoutStriped, LayoutRAID5, LayoutRAID6, LayoutRAID10:
		return int64(l.Stripes)
	}
	return 1
}

func (l Layout) raid() bool {
	switch l.Type {
	case LayoutRAID1, LayoutRAID5, LayoutRAID6, LayoutRAID10:
		return true
	}
	return false
}
