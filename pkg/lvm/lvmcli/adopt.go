package lvmcli

import (
	"context"
	"fmt"

	"github.com/berth-dev/berth/pkg/lvm"
)

// selectAdoptable limits a command to LVs that an operator gave away.
const selectAdoptable = "lv_tags=" + lvm.TagAdopt

// Adopt implements lvm.Manager. One LVM shell gets two lines, the tags and the report, as in Finish: LVM checks under
// its own lock that the operator's tag is there, and the report tells what is there afterwards. It is rare, so it scans.
func (m *Manager) Adopt(ctx context.Context, volumeGroup, name string, tags ...string) (lvm.Report, error) {
	common := m.common(nil)
	r, err := m.change(ctx, volumeGroup, name, invocation{label: "lvchange+fullreport", lines: []string{
		shellLine(adoptArguments(volumeGroup, name, tags, common)),
		shellLine(reportArguments([]string{volumeGroup}, common)),
	}})
	if err == nil && r.signalled {
		err = classify("lvchange+fullreport", r)
	}
	if err != nil {
		return lvm.Report{}, fmt.Errorf("adopt %s: %w", path(volumeGroup, name), err)
	}
	report, err := parseReport(r.stdout)
	if err != nil {
		return lvm.Report{}, fmt.Errorf("adopt %s: %w", path(volumeGroup, name), err)
	}
	m.scopes.remember([]string{volumeGroup}, report)
	if _, err := owned(report, volumeGroup, name); err != nil {
		return lvm.Report{}, fmt.Errorf("adopt: %w", err)
	}
	if !tagged(report, volumeGroup, name, []string{lvm.TagReady}) {
		return lvm.Report{}, fmt.Errorf("adopt %s: it is being made: %w", path(volumeGroup, name), classify("lvchange", r))
	}
	return report, nil
}

func adoptArguments(volumeGroup, name string, tags, common []string) []string {
	arguments := append([]string{"lvchange"}, common...)
	arguments = append(arguments, "--yes", "--select", selectAdoptable, "--addtag", lvm.TagOwned, "--addtag", lvm.TagReady)
	for _, tag := range tags {
		arguments = append(arguments, "--addtag", tag)
	}
	return append(arguments, "--deltag", lvm.TagAdopt, path(volumeGroup, name))
}
