package lvmfake

import (
	"fmt"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
)

// group is one volume group: what a report shows, where each LV lies, and what the kernel would tell of its devices.
type group struct {
	lvm.VolumeGroup
	// taken is the bytes that an LV takes per physical volume's name.
	taken map[string]map[string]int64
	// copied are the bytes that thick snapshots hold, errorWhenFull the pools made so, by name.
	copied        map[string]int64
	errorWhenFull map[string]bool
}

// report is a copy that shares nothing with the group.
func (g *group) report() lvm.VolumeGroup {
	vg := g.VolumeGroup
	vg.PhysicalVolumes, vg.Tags = slices.Clone(vg.PhysicalVolumes), slices.Clone(vg.Tags)
	vg.LogicalVolumes = slices.Clone(vg.LogicalVolumes)
	vg.SizeBytes, vg.FreeBytes, vg.MissingPhysicalVolumes = 0, 0, 0
	vg.ThinPools = slices.Clone(vg.ThinPools)
	for i := range vg.LogicalVolumes {
		lv := &vg.LogicalVolumes[i]
		lv.Tags = slices.Clone(lv.Tags)
		if g.isPartial(lv.Name) {
			lv.Health = "partial"
		}
	}
	for i := range vg.ThinPools {
		vg.ThinPools[i].VirtualBytes = g.virtualBytes(vg.ThinPools[i].Name)
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

// isPartial tells whether an LV lies on a physical volume that is missing.
func (g *group) isPartial(name string) bool {
	for _, pv := range g.PhysicalVolumes {
		if pv.Missing && g.taken[name][pv.Name] > 0 {
			return true
		}
	}
	return false
}

// thickSnapshots are the names of an LV's.
func (g *group) thickSnapshots(origin string) []string {
	var names []string
	for _, lv := range g.LogicalVolumes {
		if lv.Origin == origin && isThick(lv) {
			names = append(names, lv.Name)
		}
	}
	return names
}

// isThick tells whether an LV is a thick snapshot.
func isThick(lv lvm.LogicalVolume) bool { return lv.Origin != "" && lv.ThinPool == "" }

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
	lv, err := g.owned(request.Name)
	if err != nil {
		return 0, err
	}
	if lv.Type != lvm.LayoutLinear || donor.Type != lvm.LayoutLinear {
		return 0, fmt.Errorf("logical volumes %s/%s, %s: %w: not linear", g.Name, lv.Name, donor.Name, lvm.ErrInvalidLayout)
	}
	if len(g.thickSnapshots(lv.Name)) > 0 {
		return 0, fmt.Errorf("logical volume %s/%s has snapshots: %w", g.Name, lv.Name, lvm.ErrInUse)
	}
	bytes, taken := donor.SizeBytes, g.taken[donor.Name]
	g.release(donor.Name)
	for i := range g.PhysicalVolumes {
		pv := &g.PhysicalVolumes[i]
		pv.FreeBytes -= taken[pv.Name]
		g.taken[request.Name][pv.Name] += taken[pv.Name]
	}
	lv = g.find(request.Name) // the list has moved
	lv.SizeBytes += bytes
	g.Seqno += 2
	return lv.SizeBytes, nil
}
