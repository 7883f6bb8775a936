package lvmcli

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Create implements lvm.Manager.
func (m *Manager) Create(ctx context.Context, request lvm.CreateRequest) error {
	if err := checkCreate(request); err != nil {
		return fmt.Errorf("create %s: %w", path(request.VolumeGroup, request.Name), err)
	}
	if request.Layout.Legs() > 0 {
		return m.createLegs(ctx, request)
	}
	return m.create(ctx, request)
}

func (m *Manager) create(ctx context.Context, request lvm.CreateRequest) error {
	return m.changeScoped(ctx, request.VolumeGroup, request.Name, func(scope []string) []string {
		return createArguments(request, m.common(scope))
	})
}

func checkCreate(request lvm.CreateRequest) error {
	layout := request.Layout
	if request.SizeBytes <= 0 {
		return fmt.Errorf("%d bytes: %w", request.SizeBytes, lvm.ErrInvalidSize)
	}
	if layout.Type == lvm.LayoutThin {
		return errors.Join(checkNames(layout.ThinPool), layout.Validate())
	}
	if err := layout.Validate(); err != nil {
		return err
	}
	if len(request.PhysicalVolumes) == 0 { // LVM would take any
		return fmt.Errorf("no physical volumes: %w", lvm.ErrNoSpace)
	}
	return nil
}

// CreatePool implements lvm.Manager.
func (m *Manager) CreatePool(ctx context.Context, request lvm.PoolRequest) error {
	var err error
	switch {
	case request.SizeBytes <= 0 || request.MetadataSizeBytes <= 0:
		err = fmt.Errorf("%d bytes, metadata %d: %w", request.SizeBytes, request.MetadataSizeBytes, lvm.ErrInvalidSize)
	case len(request.PhysicalVolumes) == 0:
		err = fmt.Errorf("no physical volumes: %w", lvm.ErrNoSpace)
	}
	if err != nil {
		return fmt.Errorf("create thin pool %s: %w", path(request.VolumeGroup, request.Name), err)
	}
	return m.changeScoped(ctx, request.VolumeGroup, request.Name, func(scope []string) []string {
		return poolArguments(request, m.common(scope))
	})
}

// Snapshot implements lvm.Manager. As with Extend, the origin is looked at right before.
func (m *Manager) Snapshot(ctx context.Context, request lvm.SnapshotRequest) error {
	fail := func(err error) error {
		return fmt.Errorf("snapshot %s of %s: %w", path(request.VolumeGroup, request.Name), request.Origin, err)
	}
	report, err := m.Report(ctx, []string{request.VolumeGroup})
	if err != nil {
		return fail(err)
	}
	origin, err := owned(report, request.VolumeGroup, request.Origin)
	if err != nil {
		return fail(err)
	}
	thin := origin.Type == lvm.LayoutThin
	if thin != (request.SizeBytes == 0) || request.SizeBytes < 0 {
		return fail(fmt.Errorf("%d bytes for a snapshot of a %s volume: %w", request.SizeBytes, origin.Type, lvm.ErrInvalidSize))
	}
	if !thin && len(request.PhysicalVolumes) == 0 {
		return fail(fmt.Errorf("no physical volumes: %w", lvm.ErrNoSpace))
	}
	return m.changeScoped(ctx, request.VolumeGroup, request.Name, func(scope []string) []string {
		return snapshotArguments(request, m.common(scope))
	})
}
