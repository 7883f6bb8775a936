package lvm

import "slices"

// Space is the part of a volume group that placement computes with: what a report says, and the volumes promised since
// that it does not show. The scheduler makes one from a NodeStorage, the agent from a live report. A Space that was
// promised volumes shares nothing that changes with the one it came from.
type Space struct {
	ExtentSizeBytes int64
	// HeldBytes is never given to new volumes: spare and growth reserve.
	HeldBytes int64
	// PhysicalVolumes are the open, present ones with their free bytes.
	PhysicalVolumes []FreeSpace
	ThinPools       []ThinPool
	// Legs is true where volumes of several legs may be wanted: then it counts where free bytes are (OffersMore).
	Legs bool

	// promised volumes will be made, in an order that nobody knows. promisedBytes is what they take, promisedLegs tells
	// whether one has legs.
	promised      []Request
	promisedBytes int64
	promisedLegs  bool
}

// FreeSpace is the free bytes of one physical volume, in whole extents.
type FreeSpace struct {
	Name      string
	FreeBytes int64
}

// FreeBytes is what new volumes can take of the volume group: free bytes less held and promised ones, floored at 0.
// Volumes with legs may find less: see Check.
func (s *Space) FreeBytes() int64 {
	var free int64
	for i := range s.PhysicalVolumes {
		free = SaturatingAdd(free, s.PhysicalVolumes[i].FreeBytes)
	}
	return max(free-SaturatingAdd(s.HeldBytes, s.promisedBytes), 0)
}

// FreeBytesFor is FreeBytes, or for a thin layout the virtual bytes that its pool can still give.
func (s *Space) FreeBytesFor(layout Layout) int64 {
	if layout.Type != LayoutThin {
		return s.FreeBytes()
	}
	pool, ok := s.thinPool(layout.ThinPool)
	if !ok {
		return 0
	}
	return s.freeVirtualBytes(pool, nil, layout.OverprovisionPercent)
}

// SumDecides tells whether volumes without legs fit exactly if the sum of their extents is free: none with legs is
// promised.
func (s *Space) SumDecides() bool { return !s.promisedLegs }

// UsableBytes is FreeBytesFor less what copies and parity take: what many small volumes of the layout come to at most.
func (s *Space) UsableBytes(layout Layout) int64 {
	free := s.FreeBytesFor(layout)
	if legs := layout.Legs(); legs > 0 {
		return share(free, layout.stripes(), int64(legs))
	}
	return free
}

// TakenBytes is what the requests take of the volume group, RAID copies, parity and metadata included; the largest
// int64 when one of them can never be.
func (s *Space) TakenBytes(requests ...Request) int64 {
	var total int64
	for i := range requests {
		t, err := requests[i].take(s.ExtentSizeBytes)
		if err != nil {
			return MaxBytes
		}
		total = SaturatingAdd(total, t.bytes(s.ExtentSizeBytes))
	}
	return total
}

// OffersMore tells whether something that did not fit into the earlier space may fit now.
func (s *Space) OffersMore(earlier *Space) bool {
	if s.FreeBytes() > earlier.FreeBytes() {
		return true
	}
	for _, pool := range s.ThinPools {
		if old, ok := earlier.thinPool(pool.Name); !ok || s.poolOffersMore(pool, earlier, old) {
			return true
		}
	}
	// With the same bytes in other places, or with fewer orders in which the promised volumes can be made, other legs fit.
	return s.Legs && !(slices.Equal(s.PhysicalVolumes, earlier.PhysicalVolumes) && sameRequests(s.promised, earlier.promised))
}

// sameRequests compares without regard to order.
func sameRequests(a, b []Request) bool {
	if len(a) != len(b) {
		return false
	}
	counts := make(map[Request]int, len(a))
	for i := range a {
		counts[a[i]]++
		counts[b[i]]--
	}
	for _, count := range counts {
		if count != 0 {
			return false
		}
	}
	return true
}

// MaximumVolumeBytes is the largest single volume of a layout that fits now; 0 while the extent size is not known.
func (s *Space) MaximumVolumeBytes(layout Layout) int64 {
	if s.ExtentSizeBytes <= 0 || layout.Validate() != nil {
		return 0
	}
	unit := multiply(layout.stripes(), s.ExtentSizeBytes)
	size := func(units int64) int64 { return units*unit - layout.OverheadBytes }
	fits := func(units int64) bool {
		return size(units) <= 0 || s.Check([]Request{{SizeBytes: size(units), Layout: layout}}) == nil
	}
	least, past := int64(0), s.FreeBytesFor(layout)/unit
	if fits(past) {
		return max(size(past), 0)
	}
	for past-least > 1 {
		if middle := least + (past-least)/2; fits(middle) {
			least = middle
		} else {
			past = middle
		}
	}
	return max(size(least), 0)
}

// Space is what a live volume group offers with heldBytes held back.
func (vg *VolumeGroup) Space(heldBytes int64) *Space {
	s := &Space{ExtentSizeBytes: vg.ExtentSizeBytes, HeldBytes: heldBytes, ThinPools: vg.ThinPools}
	for _, pv := range vg.PhysicalVolumes {
		if pv.Allocatable && !pv.Missing {
			s.PhysicalVolumes = append(s.PhysicalVolumes, FreeSpace{pv.Name, pv.FreeBytes})
		}
	}
	return s
}
