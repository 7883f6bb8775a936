package lvmfake

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
)

// create takes what a new LV of any layout takes.
func (g *group) create(request lvm.CreateRequest) (lvm.LogicalVolume, error) {
	layout := request.Layout
	size, err := g.wholeSize(request.SizeBytes, layout)
	if err != nil {
		return lvm.LogicalVolume{}, err
	}
	lv := lvm.LogicalVolume{
		Name: request.Name, SizeBytes: size, Tags: append([]string{lvm.TagOwned}, request.Tags...),
		Type: cmp.Or(layout.Type, lvm.LayoutLinear), ThinPool: layout.ThinPool,
	}
	switch {
	case layout.Type == lvm.LayoutThin:
		err = g.takesVolumes(layout.ThinPool)
	case layout.Legs() > 0:
		legBytes := size / dataLegs(layout)
		if layout.Type != lvm.LayoutStriped { // RAID metadata
			legBytes += g.ExtentSizeBytes
		}
		lv.Legs, err = g.allocateLegs(lv.Name, legBytes, layout.Legs(), request.PhysicalVolumes)
	default:
		err = g.allocate(lv.Name, size, request.PhysicalVolumes)
	}
	return lv, err
}

// extend takes what an LV needs to come to the size asked for.
func (g *group) extend(lv *lvm.LogicalVolume, request lvm.ExtendRequest) error {
	layout := request.Layout
	if cmp.Or(layout.Type, lvm.LayoutLinear) != lv.Type || layout.Legs() != len(lv.Legs) {
		return fmt.Errorf("logical volume %s/%s is %s: %w", g.Name, lv.Name, lv.Type, lvm.ErrInvalidLayout)
	}
	size, err := g.wholeSize(request.SizeBytes, layout)
	if err != nil || size <= lv.SizeBytes {
		return err
	}
	if len(g.thickSnapshots(lv.Name)) > 0 {
		return fmt.Errorf("logical volume %s/%s has snapshots: %w", g.Name, lv.Name, lvm.ErrInUse)
	}
	missing := size - lv.SizeBytes
	switch {
	case layout.Type == lvm.LayoutThin:
	case layout.Legs() > 0:
		err = g.extendLegs(lv, missing/dataLegs(layout), request.PhysicalVolumes)
	default:
		err = g.allocate(lv.Name, missing, request.PhysicalVolumes)
	}
	if err != nil {
		return err
	}
	lv.SizeBytes = size
	g.Seqno++
	return nil
}

// wholeSize rounds a size up to extents, and these to a multiple of the stripes.
func (g *group) wholeSize(bytes int64, layout lvm.Layout) (int64, error) {
	if err := layout.Validate(); err != nil {
		return 0, err
	}
	size, err := lvm.RoundUp(bytes, g.ExtentSizeBytes*dataLegs(layout))
	if err != nil || size == 0 {
		return 0, fmt.Errorf("logical volume of %d bytes: %w", bytes, lvm.ErrInvalidSize)
	}
	return size, nil
}

// dataLegs is the number of legs that a volume's bytes are spread over.
func dataLegs(layout lvm.Layout) int64 {
	switch layout.Type {
	case lvm.LayoutStriped, lvm.LayoutRAID5, lvm.LayoutRAID6, lvm.LayoutRAID10:
		return int64(layout.Stripes)
	}
	return 1
}

// allocate takes bytes for an LV from the physical volumes named, in their order: all or nothing.
func (g *group) allocate(name string, bytes int64, from []string) error {
	var free int64
	for _, pv := range g.open(from) {
		free += pv.FreeBytes
	}
	if bytes > free {
		return fmt.Errorf("%d bytes wanted, %d free on %v: %w", bytes, free, from, lvm.ErrNoSpace)
	}
	for _, pv := range g.open(from) {
		part := min(bytes, pv.FreeBytes)
		g.take(name, pv, part)
		bytes -= part
	}
	return nil
}

// allocateLegs takes the same for each leg, of those physical volumes named that have the most: all or nothing.
func (g *group) allocateLegs(name string, legBytes int64, legs int, from []string) ([][]string, error) {
	open := g.open(from)
	slices.SortStableFunc(open, func(a, b *lvm.PhysicalVolume) int { return cmp.Compare(b.FreeBytes, a.FreeBytes) })
	if len(open) < legs || open[legs-1].FreeBytes < legBytes {
		return nil, fmt.Errorf("%d legs of %d bytes wanted on %v: %w", legs, legBytes, from, lvm.ErrNoSpace)
	}
	var made [][]string
	for _, pv := range open[:legs] {
		g.take(name, pv, legBytes)
		made = append(made, []string{pv.Name})
	}
	return made, nil
}

// extendLegs takes the same for each of an LV's legs, where that lies: all or nothing.
func (g *group) extendLegs(lv *lvm.LogicalVolume, legBytes int64, from []string) error {
	var on []*lvm.PhysicalVolume
	for _, pv := range g.open(from) {
		if slices.ContainsFunc(lv.Legs, func(leg []string) bool { return slices.Contains(leg, pv.Name) }) && pv.FreeBytes >= legBytes {
			on = append(on, pv)
		}
	}
	if len(on) < len(lv.Legs) {
		return fmt.Errorf("%d bytes wanted on each of %v: %w", legBytes, lv.Legs, lvm.ErrNoSpace)
	}
	for _, pv := range on {
		g.take(lv.Name, pv, legBytes)
	}
	return nil
}

func (g *group) take(name string, pv *lvm.PhysicalVolume, bytes int64) {
	if g.taken[name] == nil {
		g.taken[name] = map[string]int64{}
	}
	g.taken[name][pv.Name] += bytes
	pv.FreeBytes -= bytes
}

// open are the physical volumes named that can be allocated from.
func (g *group) open(names []string) []*lvm.PhysicalVolume {
	var open []*lvm.PhysicalVolume
	for _, name := range names {
		for i := range g.PhysicalVolumes {
			pv := &g.PhysicalVolumes[i]
			if pv.Name == name && pv.Allocatable && !pv.Missing {
				open = append(open, pv)
			}
		}
	}
	return open
}

// release gives an LV's extents back and forgets it. Thin snapshots of it live on.
func (g *group) release(name string) {
	for i := range g.PhysicalVolumes {
		pv := &g.PhysicalVolumes[i]
		pv.FreeBytes += g.taken[name][pv.Name]
	}
	delete(g.taken, name)
	delete(g.copied, name)
	g.LogicalVolumes = slices.DeleteFunc(g.LogicalVolumes, func(lv lvm.LogicalVolume) bool { return lv.Name == name })
	for i := range g.LogicalVolumes {
		if lv := &g.LogicalVolumes[i]; lv.Origin == name {
			lv.Origin = ""
		}
	}
	g.forgetPool(name)
}
