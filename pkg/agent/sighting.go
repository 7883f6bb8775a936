package agent

import (
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// sighting is all that LVM reported of the configured volume groups, at one time.
type sighting struct {
	// at is the oldest of the observations' times: what happened to LVM before it is in the sighting.
	at time.Time
	// groups by name; a volume group that is not there has found false, one never asked for is missing.
	groups map[string]observation
	// err is why the last report gave nothing.
	err error
}

// sighting returns what was reported last. Predictions are not in it.
func (g *groups) sighting() sighting {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := sighting{at: g.at, groups: map[string]observation{}, err: g.err}
	first := true
	for name, k := range g.known {
		s.groups[name] = k.observation
		if first || k.at.Before(s.at) {
			s.at, first = k.at, false
		}
	}
	return s
}

// place is where an LV is.
type place struct {
	vg lvm.VolumeGroup
	lv lvm.LogicalVolume
}

// find looks for an LV of Berth's by name in all volume groups, as last seen or predicted.
func (g *groups) find(name string) (place, bool) {
	for _, vgName := range g.namesNow() {
		vg, err := g.asKnown(vgName)
		if err != nil {
			continue
		}
		if lv, ok := vg.LogicalVolume(name); ok && lvm.ParseTags(lv.Tags).Owned && lv.Type != lvm.TypeThinPool {
			return place{vg, lv}, true
		}
	}
	return place{}, false
}

// owned lists Berth's LVs of a volume group, but for thin pools.
func owned(vg lvm.VolumeGroup) []lvm.LogicalVolume {
	var lvs []lvm.LogicalVolume
	for _, lv := range vg.LogicalVolumes {
		if lvm.ParseTags(lv.Tags).Owned && lv.Type != lvm.TypeThinPool {
			lvs = append(lvs, lv)
		}
	}
	return lvs
}

// ownPools lists Berth's thin pools of a volume group, as LVs.
func ownPools(vg lvm.VolumeGroup) []lvm.LogicalVolume {
	var lvs []lvm.LogicalVolume
	for _, lv := range vg.LogicalVolumes {
		if lv.Type == lvm.TypeThinPool && lvm.ParseTags(lv.Tags).Owned {
			lvs = append(lvs, lv)
		}
	}
	return lvs
}

// volumesIn counts Berth's LVs without those that a volume is growing by.
func volumesIn(vg lvm.VolumeGroup) int32 {
	n := int32(0)
	for _, lv := range owned(vg) {
		if _, grows := lv.Grows(); !grows {
			n++
		}
	}
	return n
}

// helperBytes is the size of what a volume is growing by.
func helperBytes(vg lvm.VolumeGroup, volumeID string) int64 {
	if lv, ok := vg.LogicalVolume(lvm.GrowName(volumeID)); ok {
		if _, grows := lv.Grows(); grows {
			return lv.SizeBytes
		}
	}
	return 0
}
