package lvmcli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// rangesColumn says where a segment lies, in the form in which lvextend takes physical volumes: lvmreport(7).
const rangesColumn = "seg_pe_ranges"

// keepBytes keeps lvremove from discarding the donor's extents where lvm.conf says issue_discards: a disk may return
// anything afterwards.
const keepBytes = " devices/issue_discards=0"

// Absorb implements lvm.Manager. A look at both LVs, then one LVM shell for lvremove, lvextend and a report, all under
// LVM's own lock, held here: no command of the host's can use the extents in between, or put another LV in the place
// of one that was looked at.
//
// It is rare, so it scans; there is no question then whether physical volumes only seem to be missing.
func (m *Manager) Absorb(ctx context.Context, request lvm.AbsorbRequest) (lvm.Report, error) {
	if err := checkNames(request.VolumeGroup, request.Name, request.Donor); err != nil {
		return lvm.Report{}, err
	}
	unlock, err := m.lockBoth(ctx, request.VolumeGroup)
	if err != nil {
		return lvm.Report{}, err
	}
	report, err := m.absorb(ctx, request, unlock)
	if err != nil {
		return lvm.Report{}, fmt.Errorf("extend %s by %s: %w", path(request.VolumeGroup, request.Name), request.Donor, err)
	}
	m.scopes.remember([]string{request.VolumeGroup}, report)
	return report, nil
}

// absorb is Absorb under the locks, which it gives back when its last command has ended.
func (m *Manager) absorb(ctx context.Context, request lvm.AbsorbRequest, unlock func()) (lvm.Report, error) {
	common := append([]string{"--config", m.options.Config + keepBytes}, "--nolocking")
	before, ranges, err := m.extentsOf(ctx, request, common)
	if err != nil {
		unlock()
		return lvm.Report{}, err
	}
	remove, extend := absorbArguments(request, before.extents, ranges, common)
	r, err := m.changeLocked(ctx, request.VolumeGroup, request.Name, invocation{label: "lvremove+lvextend+fullreport", lines: []string{
		shellLine(remove),
		shellLine(extend),
		shellLine(reportArguments([]string{request.VolumeGroup}, common)),
	}}, unlock)
	if err != nil {
		return lvm.Report{}, err
	}
	if r.signalled {
		return lvm.Report{}, classify("lvremove+lvextend", r)
	}
	after, err := parseReport(r.stdout)
	if err != nil {
		return lvm.Report{}, err
	}
	return after, absorbed(after, request, before.wantedBytes, r)
}

// extents is what an absorption begins with.
type extents struct {
	extents     int64
	wantedBytes int64
}

// extentsOf checks both LVs and tells where the donor lies.
// Errors: ErrNotFound, ErrForeign, ErrInUse, ErrUnusable, those of a report.
func (m *Manager) extentsOf(ctx context.Context, request lvm.AbsorbRequest, common []string) (extents, []string, error) {
	names := []string{request.VolumeGroup}
	ctx, cancel := context.WithTimeout(ctx, m.options.ReportTimeout)
	defer cancel()
	r, err := m.runner.report(ctx, command(reportWithSegments(names, request.Donor, common)))
	if err != nil {
		return extents{}, nil, err
	}
	report, err := parseReport(r.stdout)
	if err == nil {
		err = complete(report, names, r)
	}
	if err != nil {
		return extents{}, nil, err
	}
	lv, err := owned(report, request.VolumeGroup, request.Name)
	if err != nil {
		return extents{}, nil, err
	}
	donor, err := owned(report, request.VolumeGroup, request.Donor)
	if err != nil {
		return extents{}, nil, err
	}
	vg := report.VolumeGroups[request.VolumeGroup]
	switch reason := vg.Unusable(); {
	case reason != "":
		return extents{}, nil, fmt.Errorf("%s: %w", reason, lvm.ErrUnusable)
	case donor.UUID != request.DonorUUID:
		return extents{}, nil, fmt.Errorf("%s is another one now: %w", request.Donor, lvm.ErrNotFound)
	case donor.Open:
		return extents{}, nil, fmt.Errorf("%s: %w", request.Donor, lvm.ErrInUse)
	case lv.Type != lvm.LayoutLinear || donor.Type != lvm.LayoutLinear: // others would be extended onto any extents
		return extents{}, nil, fmt.Errorf("%s and %s: %w: not linear", request.Name, request.Donor, lvm.ErrInvalidLayout)
	}
	ranges, n, err := parseRanges(r.stdout)
	if err == nil && n != donor.SizeBytes/vg.ExtentSizeBytes {
		err = fmt.Errorf("%s of %d bytes lies on %v, which are %d extents", request.Donor, donor.SizeBytes, ranges, n)
	}
	return extents{n, lv.SizeBytes + donor.SizeBytes}, ranges, err
}

// parseRanges finds an LV's ranges of extents in a report, and how many extents they are together.
func parseRanges(stdout string) (ranges []string, extents int64, err error) {
	for line := range strings.Lines(stdout) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, namePrefix) {
			continue
		}
		r, err := parseRow(line)
		if err != nil {
			return nil, 0, err
		}
		if r.has(rangesColumn) && !r.has(legColumns[0]) {
			ranges = append(ranges, strings.Fields(r.text(rangesColumn))...)
		}
	}
	for _, text := range ranges {
		n, err := rangeExtents(text)
		if err != nil {
			return nil, 0, err
		}
		extents += n
	}
	return ranges, extents, nil
}

// rangeExtents counts the extents of one range, device:first-last.
func rangeExtents(text string) (int64, error) {
	first, last, ok := strings.Cut(text[strings.LastIndexByte(text, ':')+1:], "-")
	from, fromErr := strconv.ParseInt(first, 10, 64)
	to, toErr := strconv.ParseInt(last, 10, 64)
	if !ok || fromErr != nil || toErr != nil || to < from || !strings.HasPrefix(text, "/") {
		return 0, fmt.Errorf("%q is no range of extents", text)
	}
	return to - from + 1, nil
}

// absorbed says, from the report after it, whether an absorption did what it should.
func absorbed(report lvm.Report, request lvm.AbsorbRequest, wantedBytes int64, r result) error {
	lv, err := owned(report, request.VolumeGroup, request.Name)
	if err != nil {
		return err
	}
	vg := report.VolumeGroups[request.VolumeGroup]
	donor, left := vg.LogicalVolume(request.Donor)
	switch {
	case left && donor.Open: // lvextend's words, that the extents are not free, are the last
		return fmt.Errorf("%s: %w", request.Donor, lvm.ErrInUse)
	case left:
		return fmt.Errorf("%s is not removed: %s", request.Donor, strings.Join(complaints(r.stderr), "; "))
	case lv.SizeBytes != wantedBytes:
		return fmt.Errorf("%d bytes, want %d: %w", lv.SizeBytes, wantedBytes, classify("lvextend", r))
	}
	return nil
}
