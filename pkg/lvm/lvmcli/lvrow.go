package lvmcli

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

func (r *row) logicalVolume() lvm.LogicalVolume {
	lv := lvm.LogicalVolume{
		Name:      r.text("lv_name"),
		UUID:      r.text("lv_uuid"),
		SizeBytes: r.number("lv_size"),
		Active:    r.number("lv_active_locally") == 1,
		Open:      r.number("lv_device_open") == 1, // -1 when it is not active
		Type:      layoutType(r.text("lv_layout")),
		ThinPool:  r.text("pool_lv"),
		Origin:    r.text("origin"),
		Invalid:   r.number("lv_snapshot_invalid") == 1, // -1 when it is no snapshot
		Health:    r.text("lv_health_status"),
		Tags:      r.list("lv_tags"),
	}
	return lv
}

// layoutType reads LVM's list of words for how an LV is made, from the general to the special: "raid,raid5,raid5_ls".
func layoutType(words string) lvm.LayoutType {
	list := strings.Split(words, ",")
	if slices.Contains(list, "thin") {
		if slices.Contains(list, "pool") {
			return lvm.TypeThinPool
		}
		return lvm.LayoutThin
	}
	for _, layout := range []lvm.LayoutType{lvm.LayoutRAID1, lvm.LayoutRAID5, lvm.LayoutRAID6, lvm.LayoutRAID10, lvm.LayoutStriped, lvm.LayoutLinear} {
		if slices.Contains(list, string(layout)) {
			return layout
		}
	}
	return lvm.LayoutType(words)
}

func (r *row) thinPool() lvm.ThinPool {
	pool := lvm.ThinPool{
		Name:              r.text("lv_name"),
		SizeBytes:         r.number("lv_size"),
		MetadataSizeBytes: r.number("lv_metadata_size"),
	}
	pool.DataUsedBytes = r.percentOf("data_percent", pool.SizeBytes)
	pool.MetadataUsedBytes = r.percentOf("metadata_percent", pool.MetadataSizeBytes)
	const zeroAt = 7 // lvs(8), "Newly-allocated data blocks are set to blocks of zeroes before use"
	attributes := r.text("lv_attr")
	pool.Zeroes = len(attributes) > zeroAt && attributes[zeroAt] == 'z'
	return pool
}

// percentOf is a part of bytes, rounded up; all of them for a pool that is not active and says nothing.
func (r *row) percentOf(column string, bytes int64) int64 {
	text := r.text(column)
	if text == "" {
		return bytes
	}
	percent, err := strconv.ParseFloat(text, 64)
	if err == nil && !(percent >= 0 && percent <= 100) {
		err = strconv.ErrRange
	}
	if err != nil {
		r.fail(column, err)
		return bytes
	}
	const whole = 100 * 100
	hundredths := int64(math.Round(percent * 100))
	return bytes/whole*hundredths + (bytes%whole*hundredths+whole-1)/whole
}

// addVirtualBytes adds up what is in each pool.
func addVirtualBytes(vg lvm.VolumeGroup) {
	for i := range vg.ThinPools {
		for _, lv := range vg.LogicalVolumes {
			if lv.ThinPool == vg.ThinPools[i].Name {
				vg.ThinPools[i].VirtualBytes += lv.SizeBytes
			}
		}
	}
}

// addLegs notes where a segment lies: part of one leg of a RAID volume, which its name tells, or of all legs of a striped
// one, in their order. Legs of what is not visible, like a pool's data, are passed over.
func addLegs(lvs []lvm.LogicalVolume, r *row) {
	name := strings.Trim(r.text("lv_name"), "[]") // hidden
	first := 0
	for _, part := range []string{"_rimage_", "_rmeta_"} {
		if at := strings.LastIndex(name, part); at >= 0 {
			leg, err := strconv.Atoi(name[at+len(part):])
			if err != nil || leg < 0 {
				continue
			}
			name, first = name[:at], leg
			break
		}
	}
	i := slices.IndexFunc(lvs, func(lv lvm.LogicalVolume) bool { return lv.Name == name })
	if i < 0 {
		return
	}
	for n, extents := range strings.Fields(r.text(rangesColumn)) {
		device := extents[:max(strings.LastIndexByte(extents, ':'), 0)]
		for len(lvs[i].Legs) <= first+n {
			lvs[i].Legs = append(lvs[i].Legs, nil)
		}
		if leg := &lvs[i].Legs[first+n]; !slices.Contains(*leg, device) {
			*leg = append(*leg, device)
		}
	}
}
