package lvm

import (
	"cmp"
	"fmt"
	"slices"
)

// Space is the part of a volume group that placement computes with: what a report says, less what it does not show
// yet. The scheduler makes one from a NodeStorage, the agent from a live report.
type Space struct {
	ExtentSizeBytes int64
	// HeldBytes is never given to new volumes: spare and growth reserve.
	HeldBytes int64
	// PhysicalVolumes are the open, present ones with their free bytes.
	PhysicalVolumes []FreeSpace
}

// FreeSpace is the free bytes of one physical volume, in whole extents.
type FreeSpace struct {
	Name      string
	FreeBytes int64
}

// Placement is where one volume goes: its size in whole extents and the physical volumes it may take them from. How
// many it takes from each of several is LVM's choice, so the next volume is placed from a new report.
type Placement struct {
	SizeBytes       int64
	PhysicalVolumes []string
}

// FreeBytes is what new volumes can take: free bytes less the held ones, floored at 0.
func (s Space) FreeBytes() int64 {
	var free int64
	for _, pv := range s.PhysicalVolumes {
		free = SaturatingAdd(free, pv.FreeBytes)
	}
	return max(free-s.HeldBytes, 0)
}

// Fit places volumes of the sizes given, linear, in their order, and returns where each goes and what is left. All
// fit or none does.
// Errors: ErrInvalidSize (a size is not positive or overflows), ErrNoSpace (wanted and free bytes are in the text).
func (s Space) Fit(sizes []int64) ([]Placement, Space, error) {
	left := Space{s.ExtentSizeBytes, s.HeldBytes, slices.Clone(s.PhysicalVolumes)}
	placements := make([]Placement, 0, len(sizes))
	for _, size := range sizes {
		if size <= 0 {
			return nil, s, fmt.Errorf("volume of %d bytes: %w", size, ErrInvalidSize)
		}
		rounded, err := RoundUp(size, s.ExtentSizeBytes)
		if err != nil {
			return nil, s, err
		}
		if free := left.FreeBytes(); rounded > free {
			return nil, s, fmt.Errorf("%d bytes wanted, %d free: %w", rounded, free, ErrNoSpace)
		}
		placements = append(placements, Placement{rounded, left.take(rounded)})
	}
	return placements, left, nil
}

// take removes size bytes from the physical volumes and names those it took from. A physical volume that holds the
// whole volume with the least left over is preferred, so that large stretches stay whole; else the largest first,
// so that the volume depends on few disks.
// The caller has checked that size fits.
func (s *Space) take(size int64) []string {
	best := -1
	for i, pv := range s.PhysicalVolumes {
		if pv.FreeBytes >= size && (best < 0 || pv.FreeBytes < s.PhysicalVolumes[best].FreeBytes) {
			best = i
		}
	}
	if best >= 0 {
		s.PhysicalVolumes[best].FreeBytes -= size
		return []string{s.PhysicalVolumes[best].Name}
	}
	order := make([]int, len(s.PhysicalVolumes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(s.PhysicalVolumes[b].FreeBytes, s.PhysicalVolumes[a].FreeBytes)
	})
	var names []string
	for _, i := range order {
		taken := min(size, s.PhysicalVolumes[i].FreeBytes)
		if taken == 0 {
			break
		}
		s.PhysicalVolumes[i].FreeBytes -= taken
		size -= taken
		names = append(names, s.PhysicalVolumes[i].Name)
	}
	return names
}

// MaximumVolumeBytes is the largest single volume that fits now; 0 while the extent size is not known.
func (s Space) MaximumVolumeBytes() int64 {
	if s.ExtentSizeBytes <= 0 {
		return 0
	}
	return s.FreeBytes() / s.ExtentSizeBytes * s.ExtentSizeBytes
}

// Space is what a live volume group offers with heldBytes held back.
func (vg *VolumeGroup) Space(heldBytes int64) Space {
	s := Space{ExtentSizeBytes: vg.ExtentSizeBytes, HeldBytes: heldBytes}
	for _, pv := range vg.PhysicalVolumes {
		if pv.Allocatable && !pv.Missing {
			s.PhysicalVolumes = append(s.PhysicalVolumes, FreeSpace{pv.Name, pv.FreeBytes})
		}
	}
	return s
}
