package lvmcli

import (
	"context"
	"fmt"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Finish implements lvm.Manager. One LVM shell gets two lines, the tag and the report; the report tells whether the
// tag is there, whatever became of the first line.
func (m *Manager) Finish(ctx context.Context, volumeGroup, name string) (lvm.Report, error) {
	scope := m.scopes.of(volumeGroup)
	selection := selectOwned
	if scope != nil {
		selection = selectWhole
	}
	report, r, err := m.finish(ctx, volumeGroup, name, selection, scope)
	if err == nil && scope != nil && !ready(report, volumeGroup, name) {
		report, r, err = m.finish(ctx, volumeGroup, name, selectOwned, nil)
	}
	if err != nil {
		return lvm.Report{}, fmt.Errorf("finish %s: %w", path(volumeGroup, name), err)
	}
	m.scopes.remember([]string{volumeGroup}, report)
	if _, err := owned(report, volumeGroup, name); err != nil {
		return lvm.Report{}, err
	}
	if !ready(report, volumeGroup, name) {
		return lvm.Report{}, fmt.Errorf("finish %s: %w", path(volumeGroup, name), classify("lvchange", r))
	}
	return report, nil
}

func (m *Manager) finish(ctx context.Context, vg, name, selection string, scope []string) (lvm.Report, result, error) {
	common := m.common(scope)
	r, err := m.change(ctx, vg, name, invocation{label: "lvchange+fullreport", lines: []string{
		shellLine(readyArguments(vg, name, selection, common)),
		shellLine(reportArguments([]string{vg}, common)),
	}})
	if err != nil {
		return lvm.Report{}, r, err
	}
	if r.signalled {
		return lvm.Report{}, r, classify("lvchange+fullreport", r)
	}
	report, err := parseReport(r.stdout)
	return report, r, err
}

func ready(report lvm.Report, volumeGroup, name string) bool {
	lv, err := owned(report, volumeGroup, name)
	return err == nil && slices.Contains(lv.Tags, lvm.TagReady)
}
