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
	lvColumns = []string{"lv_name", "lv_uuid", "lv_size", "lv_tags", "lv_active_locally", "lv_device_open"}
)

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
		case r.has(lvColumns[0]):
			vg.LogicalVolumes = append(vg.LogicalVolumes, r.logicalVolume())
		}
		if r.err != nil {
			return lvm.Report{}, fmt.Errorf("report line %s: %w", line, r.err)
		}
		report.VolumeGroups[current] = vg
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

func (r *row) logicalVolume() lvm.LogicalVolume {
	lv := lvm.LogicalVolume{
		Name:      r.text("lv_name"),
		UUID:      r.text("lv_uuid"),
		SizeBytes: r.number("lv_size"),
		Active:    r.number("lv_active_locally") == 1,
		Open:      r.number("lv_device_open") == 1, // -1 when it is not active
		Tags:      r.list("lv_tags"),
	}
	return lv
}
