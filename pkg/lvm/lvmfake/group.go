package lvmfake

import (
	"fmt"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
)

// group is one volume group: what a report shows, and where each LV lies.
type group struct {
	lvm.VolumeGroup
	// taken is the bytes that an LV takes per physical volume's name.
	taken map[string]map[string]int64
}

// report is a copy that shares nothing with the group.
func (g *group) report() lvm.VolumeGroup {
	vg := g.VolumeGroup
	vg.PhysicalVolumes, vg.Tags = slices.Clone(vg.PhysicalVolumes), slices.Clone(vg.Tags)
	vg.LogicalVolumes = slices.Clone(vg.LogicalVolumes)
	vg.SizeBytes, vg.FreeBytes, vg.MissingPhysicalVolumes = 0, 0, 0
	for i := range vg.LogicalVolumes {
		vg.LogicalVolumes[i].Tags = slices.Clone(vg.LogicalVolumes[i].Tags)
	}
	for _, pv := range vg.PhysicalVolumes {
		vg.SizeBytes += pv.SizeBytes
		vg.FreeBytes += pv.FreeBytes
		if pv.Missing {
			vg.MissingPhysicalVolumes++
		}
	}
	return vg
}

func (g *group) find(name string) *lvm.LogicalVolume {
	for i := range g.LogicalVolumes {
		if g.LogicalVolumes[i].Name == name {
			return &g.LogicalVolumes[i]
		}
	}
	return nil
}

// owned finds an LV that may be changed.
func (g *group) owned(name string) (*lvm.LogicalVolume, error) {
	lv := g.find(name)
	if lv == nil {
		return nil, fmt.Errorf("logical volume %s/%s: %w", g.Name, name, lvm.ErrNotFound)
	}
	if !slices.Contains(lv.Tags, lvm.TagOwned) {
		return nil, fmt.Errorf("logical volume %s/%s: %w", g.Name, name, lvm.ErrForeign)
	}
	return lv, nil
}

// usable refuses changes that LVM refuses for the whole volume group.
func (g *group) usable() error {
	vg := g.report()
	if reason := vg.Unusable(); reason != "" {
		return fmt.Errorf("volume group %s: %s: %w", g.Name, reason, lvm.ErrUnusable)
	}
	return nil
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
	if g.taken[name] == nil {
		g.taken[name] = map[string]int64{}
	}
	for _, pv := range g.open(from) {
		part := min(bytes, pv.FreeBytes)
		pv.FreeBytes -= part
		g.taken[name][pv.Name] += part
		bytes -= part
	}
	return nil
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

// release gives the LV's extents back and forgets it.
func (g *group) release(name string) {
	for i := range g.PhysicalVolumes {
		pv := &g.PhysicalVolumes[i]
		pv.FreeBytes += g.taken[name][pv.Name]
	}
	delete(g.taken, name)
	g.LogicalVolumes = slices.DeleteFunc(g.LogicalVolumes, func(lv lvm.LogicalVolume) bool { return lv.Name == name })
}

// absorb moves the donor's extents to the LV, and returns the size that the LV then has.
func (g *group) absorb(request lvm.AbsorbRequest) (int64, error) {
	donor, err := g.owned(request.Donor)
	if err != nil {
		return 0, err
	}
	if donor.UUID != request.DonorUUID {
		return 0, fmt.Errorf("logical volume %s/%s is another one now: %w", g.Name, donor.Name, lvm.ErrNotFound)
	}
	if donor.Open {
		return 0, fmt.Errorf("logical volume %s/%s: %w", g.Name, donor.Name, lvm.ErrInUse)
	}
	if _, err := g.owned(request.Name); err != nil {
		return 0, err
	}
	bytes, taken := donor.SizeBytes, g.taken[donor.Name]
	g.release(donor.Name)
	for i := range g.PhysicalVolumes {
		pv := &g.PhysicalVolumes[i]
		pv.FreeBytes -= taken[pv.Name]
		g.taken[request.Name][pv.Name] += taken[pv.Name]
	}
	lv := g.find(request.Name)
	lv.SizeBytes += bytes
	g.Seqno += 2
	return lv.SizeBytes, nil
}
