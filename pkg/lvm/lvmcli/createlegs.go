package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// createLegs makes an LV whose legs lie each on one of the physical volumes given, no two on the same.
//
// LVM allocates in rounds, and hands out the legs anew in each where it does not look at the earlier ones: never for
// parity, and for copies not when the first round is used up by metadata. So legs with parity are made of one extent and
// extended, which does look; and what then is not apart is made again from first extents that leave LVM no choice.
func (m *Manager) createLegs(ctx context.Context, request lvm.CreateRequest) error {
	parity := request.Layout.Type == lvm.LayoutRAID5 || request.Layout.Type == lvm.LayoutRAID6
	lv, err := m.createOn(ctx, request, request.PhysicalVolumes, parity)
	if err != nil || lv.Made(request.Layout, request.SizeBytes) {
		return err
	}
	if err := m.Remove(ctx, request.VolumeGroup, request.Name); err != nil {
		return err
	}
	row, err := m.firstExtents(ctx, request)
	if err != nil {
		return fmt.Errorf("create %s: %w", path(request.VolumeGroup, request.Name), err)
	}
	lv, err = m.createOn(ctx, request, row, true)
	if err != nil || lv.Made(request.Layout, request.SizeBytes) {
		return err
	}
	err = fmt.Errorf("create %s: LVM puts its legs on %v: %w", path(request.VolumeGroup, request.Name), lv.Legs, lvm.ErrNoSpace)
	return errors.Join(err, m.Remove(ctx, request.VolumeGroup, request.Name))
}

// createOn makes an LV, by row of the first extents of each leg on the extents given, and then extended to all physical
// volumes. It returns the LV as it then is. An lvcreate of its own comes first: in a shell the lvextend after it would
// grow whatever LV kept it from having the name.
func (m *Manager) createOn(ctx context.Context, request lvm.CreateRequest, on []string, byRow bool) (lvm.LogicalVolume, error) {
	first, size := request, []string{"--size", bytesArgument(request.SizeBytes)}
	first.PhysicalVolumes = on
	if byRow {
		size = []string{"--extents", strconv.Itoa(max(request.Layout.Stripes, 1))}
	}
	err := m.changeScoped(ctx, request.VolumeGroup, request.Name, func(scope []string) []string {
		return sizedArguments(first, size, m.common(scope))
	})
	if err != nil {
		return lvm.LogicalVolume{}, err
	}
	lv, r, err := m.extendAndLook(ctx, request, byRow)
	if err == nil && lv.SizeBytes < request.SizeBytes {
		err = errors.Join(classify("lvextend", r), m.Remove(ctx, request.VolumeGroup, request.Name))
	}
	if err != nil {
		return lvm.LogicalVolume{}, fmt.Errorf("create %s: %w", path(request.VolumeGroup, request.Name), err)
	}
	return lv, nil
}

// extendAndLook extends an LV to the size asked for, if that is wanted, and tells what it then is.
func (m *Manager) extendAndLook(ctx context.Context, request lvm.CreateRequest, extend bool) (lvm.LogicalVolume, result, error) {
	vg, name := request.VolumeGroup, request.Name
	common := m.common(m.scopes.of(vg))
	inv := invocation{label: "fullreport", lines: []string{shellLine(reportArguments([]string{vg}, common))}}
	if extend {
		inv = invocation{label: "lvextend+fullreport", lines: append([]string{shellLine(extendArguments(lvm.ExtendRequest{
			VolumeGroup: vg, Name: name, SizeBytes: request.SizeBytes, PhysicalVolumes: request.PhysicalVolumes,
		}, common))}, inv.lines...)}
	}
	r, err := m.change(ctx, vg, name, inv)
	if err == nil && r.signalled {
		err = classify(inv.label, r)
	}
	if err != nil {
		return lvm.LogicalVolume{}, r, err
	}
	report, err := parseReport(r.stdout)
	if err != nil {
		return lvm.LogicalVolume{}, r, err
	}
	lv, err := owned(report, vg, name)
	return lv, r, err
}

// firstExtents are two free extents on each of the physical volumes, each a range of its own: one for the RAID metadata
// of a leg, one for its beginning. With ranges of one length LVM keeps to the order of the physical volumes.
// Errors: ErrNoSpace, those of a report.
func (m *Manager) firstExtents(ctx context.Context, request lvm.CreateRequest) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, m.options.ReportTimeout)
	defer cancel()
	arguments := append([]string{"pvs"}, m.common(m.scopes.of(request.VolumeGroup))...)
	r, err := m.runner.report(ctx, command(append(arguments, "--segments", "--noheadings", "--nameprefixes",
		"-o", strings.Join(freeColumns, ","), "--select", "segtype=free&&vg_name="+request.VolumeGroup)))
	if err == nil && r.code != 0 {
		err = classify("pvs", r)
	}
	if err != nil {
		return nil, err
	}
	free, err := parseFree(r.stdout)
	if err != nil {
		return nil, err
	}
	var row []string
	for _, device := range request.PhysicalVolumes {
		extents := free[device]
		if len(extents) < 2 {
			return nil, fmt.Errorf("%d free extents on %s: %w", len(extents), device, lvm.ErrNoSpace)
		}
		row = append(row, fmt.Sprintf("%s:%d-%[2]d:%d-%[3]d", device, extents[0], extents[1]))
	}
	return row, nil
}

// freeColumns tell where free extents are.
var freeColumns = []string{"pv_name", "pvseg_start", "pvseg_size"}

// parseFree finds the first two free extents of each physical volume, or one where there is no more.
func parseFree(stdout string) (map[string][]int64, error) {
	free := map[string][]int64{}
	for line := range strings.Lines(stdout) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, namePrefix) {
			continue
		}
		r, err := parseRow(line)
		if err != nil {
			return nil, err
		}
		device, start, size := r.text(freeColumns[0]), r.number(freeColumns[1]), r.number(freeColumns[2])
		if r.err != nil {
			return nil, fmt.Errorf("report line %s: %w", line, r.err)
		}
		for extent := start; extent < start+min(size, 2); extent++ {
			free[device] = append(free[device], extent)
		}
	}
	for _, extents := range free {
		slices.Sort(extents)
	}
	return free, nil
}
