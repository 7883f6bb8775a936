package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Remove implements lvm.Manager. The tag is checked by lvremove itself under LVM's lock, so that no LV without it is
// ever removed.
func (m *Manager) Remove(ctx context.Context, volumeGroup, name string) error {
	scope, selection := m.scopes.of(volumeGroup), selectOwned
	if scope != nil {
		selection = selectWhole
	}
	err := m.remove(ctx, volumeGroup, name, selection, scope)
	if scope != nil && (errors.Is(err, lvm.ErrForeign) || errors.Is(err, lvm.ErrUnusable) || errors.Is(err, lvm.ErrNotFound)) {
		m.scopes.forget(volumeGroup)
		err = m.remove(ctx, volumeGroup, name, selectOwned, nil)
	}
	return err
}

func (m *Manager) remove(ctx context.Context, vg, name, selection string, scope []string) error {
	r, err := m.change(ctx, vg, name, command(removeArguments(vg, name, selection, m.common(scope))))
	switch {
	case err != nil:
	case r.code == 0 && !removed(r): // it is there, and the selection does not match it
		err = lvm.ErrForeign
	case r.code != 0 && !strings.Contains(r.stderr, "Failed to find logical volume"):
		err = classify("lvremove", r)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", path(vg, name), err)
	}
	return nil
}

// removed reports whether lvremove says that it removed something: with a selection it succeeds either way.
func removed(r result) bool {
	return strings.Contains(r.stdout, "successfully removed")
}
