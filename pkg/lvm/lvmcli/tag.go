package lvmcli

import (
	"context"
	"fmt"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Finish implements lvm.Manager.
func (m *Manager) Finish(ctx context.Context, volumeGroup, name string) (lvm.Report, error) {
	report, err := m.tag(ctx, volumeGroup, name, []string{lvm.TagReady})
	if err != nil {
		return lvm.Report{}, fmt.Errorf("finish %s: %w", path(volumeGroup, name), err)
	}
	return report, nil
}

// Tag implements lvm.Manager.
func (m *Manager) Tag(ctx context.Context, volumeGroup, name string, tags ...string) error {
	if len(tags) == 0 {
		return nil
	}
	if _, err := m.tag(ctx, volumeGroup, name, tags); err != nil {
		return fmt.Errorf("tag %s: %w", path(volumeGroup, name), err)
	}
	return nil
}

// tag puts tags on an LV of Berth's. One LVM shell gets two lines, the tags and a report; the report tells whether the
// tags are there, whatever became of the first line.
func (m *Manager) tag(ctx context.Context, volumeGroup, name string, tags []string) (lvm.Report, error) {
	scope := m.scopes.of(volumeGroup)
	selection := selectOwned
	if scope != nil {
		selection = selectWhole
	}
	report, r, err := m.tagOnce(ctx, volumeGroup, name, selection, tags, scope)
	if err == nil && scope != nil && !tagged(report, volumeGroup, name, tags) {
		report, r, err = m.tagOnce(ctx, volumeGroup, name, selectOwned, tags, nil)
	}
	if err != nil {
		return lvm.Report{}, err
	}
	m.scopes.remember([]string{volumeGroup}, report)
	if _, err := owned(report, volumeGroup, name); err != nil {
		return lvm.Report{}, err
	}
	if !tagged(report, volumeGroup, name, tags) {
		return lvm.Report{}, classify("lvchange", r)
	}
	return report, nil
}

func (m *Manager) tagOnce(ctx context.Context, vg, name, selection string, tags, scope []string) (lvm.Report, result, error) {
	common := m.common(scope)
	r, err := m.change(ctx, vg, name, invocation{label: "lvchange+fullreport", lines: []string{
		shellLine(tagArguments(vg, name, selection, tags, common)),
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

// tagged tells whether an LV of Berth's has all of the tags.
func tagged(report lvm.Report, volumeGroup, name string, tags []string) bool {
	lv, err := owned(report, volumeGroup, name)
	return err == nil && !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(lv.Tags, tag) })
}
