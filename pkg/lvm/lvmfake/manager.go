package lvmfake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Operation names a method of lvm.Manager in hooks and counters.
type Operation string

// The operations.
const (
	Report     Operation = "report"
	Create     Operation = "create"
	CreatePool Operation = "createpool"
	ExtendPool Operation = "extendpool"
	Snapshot   Operation = "snapshot"
	Tag        Operation = "tag"
	Finish     Operation = "finish"
	Extend     Operation = "extend"
	Absorb     Operation = "absorb"
	Remove     Operation = "remove"
	Activate   Operation = "activate"
)

// Hook sees an operation; an error it returns is the operation's result. volumeGroup and name are empty for Report,
// name is empty for Activate.
type Hook func(ctx context.Context, operation Operation, volumeGroup, name string) error

// Manager is an lvm.Manager in memory. It is safe for concurrent use; hooks run without its lock, so they may call
// it, block or panic.
type Manager struct {
	mu         sync.Mutex
	groups     map[string]*group
	uuids      int
	executions map[Operation]int
	before     Hook
	after      Hook
	// disks are the devices that volume groups can be made of, by path, with their bytes; pulled are the volume groups
	// whose disks went with RemoveVolumeGroup.
	disks  map[string]int64
	pulled map[string]bool
	// directory holds the LVs' files, or is empty when devices are only names.
	directory string
}

var _ lvm.Manager = (*Manager)(nil)

// New makes a manager without volume groups. With a directory, every active LV is a sparse file in it, and DevicePath
// names that file.
func New(directory string) *Manager {
	return &Manager{groups: map[string]*group{}, executions: map[Operation]int{}, disks: map[string]int64{}, pulled: map[string]bool{}, directory: directory}
}

// Report implements lvm.Manager.
func (m *Manager) Report(ctx context.Context, volumeGroups []string) (lvm.Report, error) {
	var report lvm.Report
	err := m.run(ctx, Report, "", "", func() error {
		report = m.reportLocked(volumeGroups)
		return nil
	})
	return report, err
}

// Create implements lvm.Manager.
func (m *Manager) Create(ctx context.Context, request lvm.CreateRequest) error {
	return m.make(ctx, Create, request.VolumeGroup, request.Name, func(g *group) (lvm.LogicalVolume, error) { return g.create(request) })
}

// CreatePool implements lvm.Manager.
func (m *Manager) CreatePool(ctx context.Context, request lvm.PoolRequest) error {
	return m.make(ctx, CreatePool, request.VolumeGroup, request.Name, func(g *group) (lvm.LogicalVolume, error) { return g.createPool(request) })
}

// Snapshot implements lvm.Manager.
func (m *Manager) Snapshot(ctx context.Context, request lvm.SnapshotRequest) error {
	return m.make(ctx, Snapshot, request.VolumeGroup, request.Name, func(g *group) (lvm.LogicalVolume, error) { return g.snapshot(request) })
}

// make runs an operation that allocates a new LV, which becomes the group's.
func (m *Manager) make(ctx context.Context, operation Operation, vg, name string, allocate func(*group) (lvm.LogicalVolume, error)) error {
	return m.run(ctx, operation, vg, name, func() error {
		g, err := m.changeable(vg)
		if err != nil {
			return err
		}
		if g.find(name) != nil {
			return fmt.Errorf("logical volume %s/%s: %w", vg, name, lvm.ErrExists)
		}
		lv, err := allocate(g)
		if err != nil {
			return err
		}
		return m.addLocked(g, lv)
	})
}

// ExtendPool implements lvm.Manager.
func (m *Manager) ExtendPool(ctx context.Context, request lvm.PoolRequest) error {
	return m.run(ctx, ExtendPool, request.VolumeGroup, request.Name, func() error {
		g, err := m.changeable(request.VolumeGroup)
		if err != nil {
			return err
		}
		return g.extendPool(request)
	})
}

// Tag implements lvm.Manager.
func (m *Manager) Tag(ctx context.Context, volumeGroup, name string, tags ...string) error {
	return m.run(ctx, Tag, volumeGroup, name, func() error { return m.tagLocked(volumeGroup, name, tags) })
}

// Finish implements lvm.Manager.
func (m *Manager) Finish(ctx context.Context, volumeGroup, name string) (lvm.Report, error) {
	var report lvm.Report
	err := m.run(ctx, Finish, volumeGroup, name, func() error {
		err := m.tagLocked(volumeGroup, name, []string{lvm.TagReady})
		report = m.reportLocked([]string{volumeGroup})
		return err
	})
	if err != nil {
		return lvm.Report{}, err
	}
	return report, nil
}

func (m *Manager) tagLocked(volumeGroup, name string, tags []string) error {
	g, err := m.group(volumeGroup)
	if err != nil {
		return err
	}
	lv, err := g.owned(name)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if !slices.Contains(lv.Tags, tag) {
			lv.Tags = append(lv.Tags, tag)
			g.Seqno++
		}
	}
	return nil
}

// Extend implements lvm.Manager.
func (m *Manager) Extend(ctx context.Context, request lvm.ExtendRequest) error {
	return m.run(ctx, Extend, request.VolumeGroup, request.Name, func() error {
		g, err := m.changeable(request.VolumeGroup)
		if err != nil {
			return err
		}
		lv, err := g.owned(request.Name)
		if err != nil {
			return err
		}
		if err := g.extend(lv, request); err != nil || isThick(*lv) { // whose device is of its origin's size
			return err
		}
		return m.sizeFile(g.Name, lv.Name, lv.SizeBytes)
	})
}

// Absorb implements lvm.Manager.
func (m *Manager) Absorb(ctx context.Context, request lvm.AbsorbRequest) (lvm.Report, error) {
	var report lvm.Report
	err := m.run(ctx, Absorb, request.VolumeGroup, request.Name, func() error {
		g, err := m.changeable(request.VolumeGroup)
		if err != nil {
			return err
		}
		size, err := g.absorb(request)
		if err != nil {
			return err
		}
		report = m.reportLocked([]string{g.Name})
		return errors.Join(m.removeFile(g.Name, request.Donor), m.sizeFile(g.Name, request.Name, size))
	})
	return report, err
}

// Remove implements lvm.Manager.
func (m *Manager) Remove(ctx context.Context, volumeGroup, name string) error {
	return m.run(ctx, Remove, volumeGroup, name, func() error {
		g, err := m.group(volumeGroup)
		if err != nil || g.find(name) == nil {
			return err
		}
		lv, err := g.owned(name)
		if err != nil {
			return err
		}
		switch {
		case lv.Type == lvm.TypeThinPool:
			return fmt.Errorf("logical volume %s/%s is a thin pool: %w", volumeGroup, name, lvm.ErrForeign)
		case lv.Open || len(g.thickSnapshots(name)) > 0:
			return fmt.Errorf("logical volume %s/%s: %w", volumeGroup, name, lvm.ErrInUse)
		}
		return m.removeLocked(g, name)
	})
}

func (m *Manager) removeLocked(g *group, name string) error {
	g.release(name)
	g.Seqno++
	return m.removeFile(g.Name, name)
}

// Activate implements lvm.Manager.
func (m *Manager) Activate(ctx context.Context, volumeGroup string, names []string) error {
	return m.run(ctx, Activate, volumeGroup, "", func() error {
		g, err := m.group(volumeGroup)
		if err != nil {
			return err
		}
		for _, name := range names {
			lv := g.find(name)
			if lv == nil {
				return fmt.Errorf("logical volume %s/%s: %w", volumeGroup, name, lvm.ErrNotFound)
			}
			lv.Active = true
		}
		return nil
	})
}

// run counts one execution and does it between the hooks. The effect is atomic and cannot be cancelled, as LVM's.
func (m *Manager) run(ctx context.Context, operation Operation, volumeGroup, name string, effect func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	m.executions[operation]++
	before, after := m.before, m.after
	m.mu.Unlock()
	if before != nil {
		if err := before(ctx, operation, volumeGroup, name); err != nil {
			return err
		}
	}
	if err := m.locked(effect); err != nil {
		return err
	}
	if after != nil {
		return after(ctx, operation, volumeGroup, name)
	}
	return nil
}

func (m *Manager) locked(effect func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return effect()
}

// group finds a volume group; the caller holds mu.
func (m *Manager) group(name string) (*group, error) {
	g := m.groups[name]
	if g == nil {
		return nil, fmt.Errorf("volume group %s: %w", name, lvm.ErrNotFound)
	}
	return g, nil
}

// changeable finds a volume group that extents may be taken from; the caller holds mu.
func (m *Manager) changeable(name string) (*group, error) {
	g, err := m.group(name)
	if err != nil {
		return nil, err
	}
	return g, g.usable()
}

func (m *Manager) reportLocked(names []string) lvm.Report {
	report := lvm.Report{VolumeGroups: map[string]lvm.VolumeGroup{}}
	for _, name := range names {
		if g := m.groups[name]; g != nil {
			report.VolumeGroups[name] = g.report()
		}
	}
	return report
}
