package lvm

import (
	"fmt"
	"slices"
)

// Made tells whether an LV is as Create was asked to make it. A Create of several legs that died may have left one that is
// smaller, or whose legs are not apart; it holds nothing yet.
func (lv LogicalVolume) Made(layout Layout, sizeBytes int64) bool {
	return lv.SizeBytes >= sizeBytes && len(lv.Legs) == layout.Legs() && lv.LegsApart()
}

// LegsApart tells whether each leg lies on one physical volume, and no two on the same; true without legs.
func (lv LogicalVolume) LegsApart() bool {
	var seen []string
	for _, leg := range lv.Legs {
		if len(leg) != 1 || slices.Contains(seen, leg[0]) {
			return false
		}
		seen = append(seen, leg[0])
	}
	return true
}

// PlaceGrowth chooses where a volume grows: one with legs on the physical volumes of its legs, each of which must have
// what the leg takes; any other as Place does.
// Errors: those of Check.
func (s *Space) PlaceGrowth(request Request, lv LogicalVolume) (Placement, error) {
	if request.Layout.Legs() == 0 {
		return s.Place(request)
	}
	if err := s.Check([]Request{request}); err != nil {
		return Placement{}, err
	}
	t, err := request.take(s.ExtentSizeBytes)
	if err != nil {
		return Placement{}, err
	}
	if len(lv.Legs) != t.legs || !lv.LegsApart() {
		return Placement{}, fmt.Errorf("%w: %s has legs on %v, not %d apart", ErrInvalidLayout, lv.Name, lv.Legs, t.legs)
	}
	placement := Placement{SizeBytes: t.sizeBytes}
	for _, leg := range lv.Legs {
		i := slices.IndexFunc(s.PhysicalVolumes, func(pv FreeSpace) bool { return pv.Name == leg[0] })
		if i < 0 || s.PhysicalVolumes[i].FreeBytes/s.ExtentSizeBytes < t.extents {
			return Placement{}, &Shortage{WantedBytes: t.bytes(s.ExtentSizeBytes), FreeBytes: s.FreeBytes(), Legs: true}
		}
		placement.PhysicalVolumes = append(placement.PhysicalVolumes, leg[0])
	}
	return placement, nil
}
