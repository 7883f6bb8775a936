package lvmcli

import (
	"fmt"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Columns of the report, as lvmreport(7) names them. Each kind's first column tells its lines from the others'.
var (
	vgColumns = []string{"vg_name", "vg_uuid", "vg_seqno", "vg_extent_size", "vg_size", "vg_free", "vg_mda_free",
		"vg_missing_pv_count", "vg_exported", "vg_clustered", "vg_shared", "vg_tags"}
	pvColumns = []string{"pv_name", "pv_uuid", "pv_size", "pv_free", "pv_allocatable", "pv_missing"}
	// No column of a segment: it would make a line of each segment of an LV.
	lvColumns = []string{"lv_name", "lv_uuid", "lv_size", "lv_tags", "lv_active_locally", "lv_device_open", "lv_layout", "pool_lv",
		"origin", "lv_snapshot_invalid", "lv_health_status", "lv_attr", "lv_metadata_size", "data_percent", "metadata_percent"}
	legColumns = []string{"lv_name", rangesColumn}
)

// selectLegs are the LVs whose segments tell where legs lie: parts of RAID volumes, and volumes of stripes.
const selectLegs = "lv_role=raid||stripes>1"

// reportArguments ask for volume groups, physical volumes, visible LVs and where legs lie, in one view.
func reportArguments(volumeGroups, common []string) []string {
	return reportWithSegments(volumeGroups, "0", common)
}

// reportWithSegments also asks where the LV of the name given lies. A full report cannot leave this kind of segments
// out, only select none of them, by a name that no LV has.
func reportWithSegments(volumeGroups []string, lv string, common []string) []string {
	arguments := append([]string{"fullreport"}, common...)
	arguments = append(arguments, "--nameprefixes", "--noheadings", "--binary", "--units", "b", "--nosuffix",
		"--configreport", "vg", "-o", strings.Join(vgColumns, ","),
		"--configreport", "pv", "-o", strings.Join(pvColumns, ","),
		"--configreport", "lv", "-o", strings.Join(lvColumns, ","),
		"--configreport", "pvseg", "-o", strings.Join(legColumns, ","), "-S", selectLegs,
		"--configreport", "seg", "-o", rangesColumn, "-S", "lv_name="+lv)
	return append(arguments, volumeGroups...)
}

// parseReport reads the standard output of a full report. Lines of other commands of the same shell are passed over;
// a report line that lacks a column, or whose numbers do not parse, is an error.
func parseReport(stdout string) (lvm.Report, error) {
	report := lvm.Report{VolumeGroups: map[string]lvm.VolumeGroup{}}
	current := ""
	for line := range strings.Lines(stdout) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, namePrefix) {
			continue
		}
		r, err := parseRow(line)
		if err != nil {
			return lvm.Report{}, err
		}
		vg := report.VolumeGroups[current]
		switch {
		case r.has(vgColumns[0]):
			vg = r.volumeGroup()
			current = vg.Name
		case current == "":
			return lvm.Report{}, fmt.Errorf("report line without a volume group: %s", line)
		case r.has(pvColumns[0]):
			vg.PhysicalVolumes = append(vg.PhysicalVolumes, r.physicalVolume())
		case r.has(legColumns[0]) && r.has(legColumns[1]): // after all LVs
			addLegs(vg.LogicalVolumes, r)
		case r.has(lvColumns[0]):
			lv := r.logicalVolume()
			vg.LogicalVolumes = append(vg.LogicalVolumes, lv)
			if lv.Type == lvm.TypeThinPool {
				vg.ThinPools = append(vg.ThinPools, r.thinPool())
			}
		}
		if r.err != nil {
			return lvm.Report{}, fmt.Errorf("report line %s: %w", line, r.err)
		}
		report.VolumeGroups[current] = vg
	}
	for _, vg := range report.VolumeGroups {
		addVirtualBytes(vg)
	}
	return report, nil
}

func (r *row) volumeGroup() lvm.VolumeGroup {
	vg := lvm.VolumeGroup{
		Name:                   r.text("vg_name"),
		UUID:                   r.text("vg_uuid"),
		Seqno:                  r.number("vg_seqno"),
		ExtentSizeBytes:        r.number("vg_extent_size"),
		SizeBytes:              r.number("vg_size"),
		FreeBytes:              r.number("vg_free"),
		MetadataFreeBytes:      r.number("vg_mda_free"),
		MissingPhysicalVolumes: int(r.number("vg_missing_pv_count")),
		Tags:                   r.list("vg_tags"),
	}
	for _, refused := range []string{"exported", "clustered", "shared"} {
		if r.number("vg_"+refused) == 1 {
			vg.Refusal = "it is " + refused
		}
	}
	return vg
}

func (r *row) physicalVolume() lvm.PhysicalVolume {
	pv := lvm.PhysicalVolume{
		Name:        r.text("pv_name"),
		UUID:        r.text("pv_uuid"),
		SizeBytes:   r.number("pv_size"),
		FreeBytes:   r.number("pv_free"),
		Allocatable: r.number("pv_allocatable") == 1,
		Missing:     r.number("pv_missing") == 1,
	}
	if pv.Name == lvm.UnknownDevice { // several can be missing
		pv.Name += " " + pv.UUID
	}
	return pv
}
