//go:build lab

package lvmoracle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// report is where everything lies.
type report struct {
	// free are the free extents on each of the group's devices.
	free [][]int
	// legs are the devices under each stripe, copy or parity of a volume, its RAID metadata included.
	legs map[string][][]string
}

// run runs commands and reports.
func (g *group) run(t *testing.T, commands ...string) (string, report) {
	t.Helper()
	output := g.shell.run(t, append(commands, fmt.Sprintf("pvs --config '%s' --segments --noheadings --nameprefixes"+
		" -o pv_name,pvseg_start,pvseg_size,segtype,lv_name,seg_pe_ranges --select vg_name=%s", config, name))...)
	r := report{free: make([][]int, len(g.devices)), legs: map[string][][]string{}}
	var text strings.Builder
	for line := range strings.Lines(output) {
		device := field(line, "PV_NAME")
		if device == "" {
			text.WriteString(line)
			continue
		}
		i := slices.Index(g.devices, device)
		if i < 0 {
			t.Fatalf("%s is none of %v", device, g.devices)
		}
		if field(line, "SEGTYPE") == "free" {
			for n := range number(t, line, "PVSEG_SIZE") {
				r.free[i] = append(r.free[i], number(t, line, "PVSEG_START")+n)
			}
		}
		r.add(strings.Trim(field(line, "LV_NAME"), "[]"), strings.Fields(field(line, "SEG_PE_RANGES")))
	}
	return text.String(), r
}

// add notes on which devices a segment of an LV lies: in the order of its stripes, or as part of the leg in its name.
func (r *report) add(lv string, ranges []string) {
	volume, part, isPart := strings.Cut(lv, "_")
	for i, peRange := range ranges {
		device, _, _ := strings.Cut(peRange, ":")
		if isPart {
			_, index, _ := strings.Cut(part, "_")
			i, _ = strconv.Atoi(index)
		}
		for len(r.legs[volume]) <= i {
			r.legs[volume] = append(r.legs[volume], nil)
		}
		if leg := &r.legs[volume][i]; !slices.Contains(*leg, device) {
			*leg = append(*leg, device)
		}
	}
}

// apart tells whether each leg of a volume lies on one physical volume, and no two on the same.
func (r *report) apart(v volume) bool {
	var seen []string
	for _, leg := range r.legs[v.lv] {
		if len(leg) != 1 || slices.Contains(seen, leg[0]) {
			return false
		}
		seen = append(seen, leg[0])
	}
	return len(seen) == v.Layout.Legs()
}

// counts are the numbers of free extents.
func (r *report) counts() []int64 {
	var counts []int64
	for _, free := range r.free {
		counts = append(counts, int64(len(free)))
	}
	return counts
}

// space is the volume group as arithmetic wants it.
func (g *group) space(r report) *lvm.Space {
	s := &lvm.Space{ExtentSizeBytes: extent}
	for i, n := range r.counts() {
		s.PhysicalVolumes = append(s.PhysicalVolumes, lvm.FreeSpace{Name: g.devices[i], FreeBytes: n * extent})
	}
	return s
}

// field is the value of a column in a line of a report.
func field(line, column string) string {
	_, rest, _ := strings.Cut(line, "LVM2_"+column+"='")
	value, _, _ := strings.Cut(rest, "'")
	return value
}

func number(t *testing.T, line, column string) int {
	t.Helper()
	n, err := strconv.Atoi(field(line, column))
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return n
}
