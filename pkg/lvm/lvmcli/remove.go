package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// errUnselected: the LV is there, and the selection does not match it.
var errUnselected = errors.New("not selected")

// Remove implements lvm.Manager. The tag, and that nothing else would go with the LV, is checked by lvremove itself under
// LVM's lock, so that no LV without it is ever removed.
func (m *Manager) Remove(ctx context.Context, volumeGroup, name string) error {
	scope, selection := m.scopes.of(volumeGroup), selectOwned
	if scope != nil {
		selection = selectWhole
	}
	err := m.remove(ctx, volumeGroup, name, selection, scope)
	if scope != nil && (errors.Is(err, errUnselected) || errors.Is(err, lvm.ErrUnusable) || errors.Is(err, lvm.ErrNotFound)) {
		m.scopes.forget(volumeGroup)
		err = m.remove(ctx, volumeGroup, name, selectOwned, nil)
	}
	if errors.Is(err, errUnselected) {
		err = m.whyKept(ctx, volumeGroup, name)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", path(volumeGroup, name), err)
	}
	return nil
}

func (m *Manager) remove(ctx context.Context, vg, name, selection string, scope []string) error {
	r, err := m.change(ctx, vg, name, command(removeArguments(vg, name, selection, m.common(scope))))
	switch {
	case err != nil:
		return err
	case r.code == 0 && !removed(r):
		return errUnselected
	case r.code != 0 && !strings.Contains(r.stderr, "Failed to find logical volume"):
		return classify("lvremove", r)
	}
	return nil
}

// removed reports whether lvremove says that it removed something: with a selection it succeeds either way.
func removed(r result) bool {
	return strings.Contains(r.stdout, "successfully removed")
}

// whyKept looks for the reason why an LV was not selected; nil when it is gone by now.
func (m *Manager) whyKept(ctx context.Context, volumeGroup, name string) error {
	report, err := m.Report(ctx, []string{volumeGroup})
	if err != nil {
		return err
	}
	vg := report.VolumeGroups[volumeGroup]
	lv, err := owned(report, volumeGroup, name)
	switch {
	case err != nil:
		if _, found := report.VolumeGroups[volumeGroup]; found && errors.Is(err, lvm.ErrNotFound) {
			return nil
		}
		return err
	case lv.Type == lvm.TypeThinPool:
		return fmt.Errorf("it is a thin pool: %w", lvm.ErrForeign)
	case slices.ContainsFunc(vg.LogicalVolumes, func(other lvm.LogicalVolume) bool { return other.Origin == name }):
		return fmt.Errorf("it has snapshots: %w", lvm.ErrInUse)
	}
	return errUnselected
}
