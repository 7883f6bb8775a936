package lvm

import (
	"cmp"
	"slices"
)

// Placement is where one volume goes: its size in whole extents and the physical volumes it is to take them from, for
// lvcreate to be given exactly these.
//
// A volume of legs takes the same from each of them, and LVM finds that much however scattered it lies: it allocates in
// rounds, each taking from every one of the physical volumes as much as the shortest run of extents allows. A linear
// volume fills all of them but one, which one is LVM's choice, so the next volume is placed from a new report. For what
// fits afterwards that choice does not matter: it leaves the same numbers, on other physical volumes.
//
// Which leg gets which physical volume LVM decides anew in each round where there is parity, or where the first round is
// used up by RAID metadata. Whoever makes such a volume makes one extent of each leg and extends that, and checks that the
// legs are apart: docs/design.md, Layouts.
type Placement struct {
	SizeBytes       int64
	PhysicalVolumes []string
	// ThinPool is set for a thin volume, which takes no extents.
	ThinPool string
}

// Place chooses where a new volume goes: the legs on the physical volumes with the most free bytes, a linear volume on
// as few of these as hold it.
//
// The most free ones first, because then more room is never worse: whatever fits into a volume group fits also when each
// physical volume has more free than it had. Volumes that go away between a promise and its creation, or are never made,
// cannot turn the promise false. "The tightest that holds it" does not have that property.
// Errors: those of Check.
func (s *Space) Place(request Request) (Placement, error) {
	if err := s.Check([]Request{request}); err != nil {
		return Placement{}, err
	}
	t, err := request.take(s.ExtentSizeBytes)
	if err != nil {
		return Placement{}, err
	}
	placement := Placement{SizeBytes: t.sizeBytes}
	if request.Layout.Type == LayoutThin {
		placement.ThinPool = request.Layout.ThinPool
		return placement, nil
	}
	left := t.bytes(s.ExtentSizeBytes)
	for i, pv := range s.mostFreeFirst() {
		if t.legs > 0 && i == t.legs || t.legs == 0 && left <= 0 {
			break
		}
		left -= pv.FreeBytes
		placement.PhysicalVolumes = append(placement.PhysicalVolumes, pv.Name)
	}
	return placement, nil
}

func (s *Space) mostFreeFirst() []FreeSpace {
	sorted := slices.Clone(s.PhysicalVolumes)
	slices.SortStableFunc(sorted, func(a, b FreeSpace) int { return cmp.Compare(b.FreeBytes, a.FreeBytes) })
	return sorted
}
