package lvmfake

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
)

// DefaultExtentSizeBytes is LVM's own default, 4 MiB.
const DefaultExtentSizeBytes = 4 << 20

// AddVolumeGroup makes a volume group of extents of DefaultExtentSizeBytes on one physical volume per size; sizes are
// whole extents. The physical volumes are named /dev/<volume group>-<number>, counted from 0. A group of that name
// is replaced.
func (m *Manager) AddVolumeGroup(name string, physicalVolumeBytes ...int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := &group{taken: map[string]map[string]int64{}, copied: map[string]int64{}, errorWhenFull: map[string]bool{}}
	g.VolumeGroup = lvm.VolumeGroup{
		Name:              name,
		UUID:              m.uuid(),
		Seqno:             1,
		ExtentSizeBytes:   DefaultExtentSizeBytes,
		MetadataFreeBytes: 1 << 20,
	}
	for i, size := range physicalVolumeBytes {
		g.PhysicalVolumes = append(g.PhysicalVolumes, lvm.PhysicalVolume{
			Name:        fmt.Sprintf("/dev/%s-%d", name, i),
			UUID:        m.uuid(),
			SizeBytes:   size,
			FreeBytes:   size,
			Allocatable: true,
		})
	}
	m.groups[name] = g
}

// RemoveVolumeGroup forgets a volume group and all in it, as when its disks are pulled.
func (m *Manager) RemoveVolumeGroup(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.groups, name)
	m.pulled[name] = true
}

// AddLogicalVolume makes an active LV as an operator would, with the tags given and no others.
// Errors: as Create.
func (m *Manager) AddLogicalVolume(volumeGroup, name string, sizeBytes int64, tags ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, err := m.changeable(volumeGroup)
	if err != nil {
		return err
	}
	if g.find(name) != nil {
		return fmt.Errorf("logical volume %s/%s: %w", volumeGroup, name, lvm.ErrExists)
	}
	var all []string
	for _, pv := range g.PhysicalVolumes {
		all = append(all, pv.Name)
	}
	if err := g.allocate(name, sizeBytes, all); err != nil {
		return err
	}
	return m.addLocked(g, lvm.LogicalVolume{Name: name, SizeBytes: sizeBytes, Tags: tags, Type: lvm.LayoutLinear})
}

// RemoveLogicalVolume removes any LV as an operator would, open or not, with its thick snapshots, or a pool with all in it.
func (m *Manager) RemoveLogicalVolume(volumeGroup, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, err := m.group(volumeGroup)
	if err != nil {
		return err
	}
	if g.find(name) == nil {
		return fmt.Errorf("logical volume %s/%s: %w", volumeGroup, name, lvm.ErrNotFound)
	}
	for _, lv := range slices.Clone(g.LogicalVolumes) {
		if lv.ThinPool == name || lv.Origin == name && isThick(lv) {
			if err := m.removeLocked(g, lv.Name); err != nil {
				return err
			}
		}
	}
	return m.removeLocked(g, name)
}

// Change edits what is reported of a volume group and raises its seqno: a refusal, a physical volume closed, added or
// missing, an LV's tags. Sizes of LVs are changed with Extend, which keeps account of extents.
func (m *Manager) Change(volumeGroup string, change func(vg *lvm.VolumeGroup)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups[volumeGroup]
	g.Seqno++
	change(&g.VolumeGroup)
}

// SetOpen opens or closes an LV's device, as a mount does.
func (m *Manager) SetOpen(volumeGroup, name string, open bool) {
	m.setLogicalVolume(volumeGroup, name, func(lv *lvm.LogicalVolume) { lv.Open = open })
}

// SetActive makes an LV's device appear or vanish, as a reboot does.
func (m *Manager) SetActive(volumeGroup, name string, active bool) {
	m.setLogicalVolume(volumeGroup, name, func(lv *lvm.LogicalVolume) { lv.Active = active })
}

func (m *Manager) setLogicalVolume(volumeGroup, name string, set func(*lvm.LogicalVolume)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g := m.groups[volumeGroup]; g != nil {
		if lv := g.find(name); lv != nil {
			set(lv)
		}
	}
}

// SetHooks installs what runs before an operation's effect and what runs after an effect that succeeded, when the
// reply can still be lost. Nil removes a hook.
func (m *Manager) SetHooks(before, after Hook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before, m.after = before, after
}

// Executions counts the operations so far, refused ones included.
func (m *Manager) Executions() map[Operation]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.executions)
}

// Fingerprint changes with every metadata change of the volume group that the device belongs to, like the header of
// its metadata area. It is not an execution.
// Errors: os.ErrNotExist for a device of no volume group, or a missing one.
func (m *Manager) Fingerprint(devicePath string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.groups {
		for _, pv := range g.PhysicalVolumes {
			if pv.Name == devicePath && !pv.Missing {
				return fmt.Sprintf("%s %d", g.UUID, g.Seqno), nil
			}
		}
	}
	return "", fmt.Errorf("physical volume %s: %w", devicePath, os.ErrNotExist)
}

// uuid is a new one in LVM's form, 6-4-4-4-4-4-6; the caller holds mu.
func (m *Manager) uuid() string {
	m.uuids++
	return fmt.Sprintf("FakeID-0000-0000-0000-0000-0000-%06d", m.uuids)
}
