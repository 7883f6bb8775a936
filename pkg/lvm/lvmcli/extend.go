package lvmcli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Extend implements lvm.Manager. lvextend takes an LV by its name only: no --select, and no UUID, by which a caller that
// has just seen the LV could have the very same extended. So the LV and its tag are looked at here, right before. An
// operator who removes it and makes another of the same volume ID at this very moment gets that one extended: larger,
// with nothing on it touched.
func (m *Manager) Extend(ctx context.Context, request lvm.ExtendRequest) error {
	report, err := m.Report(ctx, []string{request.VolumeGroup})
	if err != nil {
		return fmt.Errorf("extend %s: %w", path(request.VolumeGroup, request.Name), err)
	}
	lv, err := owned(report, request.VolumeGroup, request.Name)
	if err != nil || lv.SizeBytes >= request.SizeBytes {
		return err
	}
	if err := checkExtend(lv, &request); err != nil {
		return fmt.Errorf("extend %s: %w", path(request.VolumeGroup, request.Name), err)
	}
	return m.changeScoped(ctx, request.VolumeGroup, request.Name, func(scope []string) []string {
		return extendArguments(request, m.common(scope))
	})
}

// checkExtend refuses what LVM would do in another way than asked.
func checkExtend(lv lvm.LogicalVolume, request *lvm.ExtendRequest) error {
	layout := request.Layout
	if lv.Type != cmp.Or(layout.Type, lvm.LayoutLinear) || len(lv.Legs) != layout.Legs() {
		return fmt.Errorf("it is %s of %d legs, not %s of %d: %w", lv.Type, len(lv.Legs), layout.Type, layout.Legs(), lvm.ErrInvalidLayout)
	}
	if layout.Type == lvm.LayoutThin {
		request.PhysicalVolumes = nil
		return nil
	}
	if len(request.PhysicalVolumes) == 0 {
		return fmt.Errorf("no physical volumes: %w", lvm.ErrNoSpace)
	}
	return nil
}

// ExtendPool implements lvm.Manager. Like Extend it looks first: lvextend refuses a size that is there already.
func (m *Manager) ExtendPool(ctx context.Context, request lvm.PoolRequest) error {
	fail := func(err error) error {
		return fmt.Errorf("extend thin pool %s: %w", path(request.VolumeGroup, request.Name), err)
	}
	report, err := m.Report(ctx, []string{request.VolumeGroup})
	if err != nil {
		return fail(err)
	}
	pool, err := thinPool(report, request.VolumeGroup, request.Name)
	if err != nil {
		return fail(err)
	}
	if request.SizeBytes <= pool.SizeBytes && request.MetadataSizeBytes <= pool.MetadataSizeBytes {
		return nil
	}
	if len(request.PhysicalVolumes) == 0 {
		return fail(fmt.Errorf("no physical volumes: %w", lvm.ErrNoSpace))
	}
	return m.changeScoped(ctx, request.VolumeGroup, request.Name, func(scope []string) []string {
		return extendPoolArguments(request, pool, m.common(scope))
	})
}

// thinPool finds a thin pool, anybody's, in a report.
func thinPool(report lvm.Report, volumeGroup, name string) (lvm.ThinPool, error) {
	vg := report.VolumeGroups[volumeGroup]
	if vg.Refusal != "" {
		return lvm.ThinPool{}, fmt.Errorf("%s: %w", vg.Refusal, lvm.ErrUnusable)
	}
	for _, pool := range vg.ThinPools {
		if pool.Name == name {
			return pool, nil
		}
	}
	return lvm.ThinPool{}, lvm.ErrNotFound
}
