package lvmfake

import (
	"context"
	"fmt"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
)

// The operations on volume groups; name is the device, or empty for several.
const (
	CreateVolumeGroup    Operation = "create volume group"
	ExtendVolumeGroup    Operation = "extend volume group"
	ResizePhysicalVolume Operation = "resize physical volume"
	Adopt                Operation = "adopt"
)

// madeMetadataBytes is what is free of the metadata areas that CreateVolumeGroup makes.
const madeMetadataBytes = 8 << 20

// AddDisk makes an empty disk, or changes the size of one.
func (m *Manager) AddDisk(path string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disks[path] = bytes
}

// CreateVolumeGroup implements lvm.Manager.
func (m *Manager) CreateVolumeGroup(ctx context.Context, name string, devices []string) error {
	return m.run(ctx, CreateVolumeGroup, name, only(devices), func() error {
		if m.groups[name] != nil || m.pulled[name] {
			return fmt.Errorf("volume group %s: %w", name, lvm.ErrExists)
		}
		if err := m.checkDisks(devices); err != nil {
			return err
		}
		g := &group{taken: map[string]map[string]int64{}, copied: map[string]int64{}, errorWhenFull: map[string]bool{}}
		g.VolumeGroup = lvm.VolumeGroup{
			Name: name, UUID: m.uuid(), Seqno: 1, ExtentSizeBytes: DefaultExtentSizeBytes,
			MetadataFreeBytes: madeMetadataBytes, Tags: []string{lvm.TagOwned},
		}
		m.addDisks(g, devices)
		m.groups[name] = g
		return nil
	})
}

// ExtendVolumeGroup implements lvm.Manager.
func (m *Manager) ExtendVolumeGroup(ctx context.Context, name string, devices []string) error {
	return m.run(ctx, ExtendVolumeGroup, name, only(devices), func() error {
		g, err := m.changeable(name)
		if err != nil {
			return err
		}
		if err := m.checkDisks(devices); err != nil {
			return err
		}
		m.addDisks(g, devices)
		g.Seqno++
		return nil
	})
}

// ResizePhysicalVolume implements lvm.Manager.
func (m *Manager) ResizePhysicalVolume(ctx context.Context, volumeGroup, device string) error {
	return m.run(ctx, ResizePhysicalVolume, volumeGroup, device, func() error {
		g, err := m.changeable(volumeGroup)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(g.PhysicalVolumes, func(pv lvm.PhysicalVolume) bool { return pv.Name == device })
		if i < 0 {
			return fmt.Errorf("physical volume %s: %w", device, lvm.ErrNotFound)
		}
		pv := &g.PhysicalVolumes[i]
		if more := wholeExtents(m.disks[device], g) - pv.SizeBytes; more > 0 {
			pv.SizeBytes += more
			pv.FreeBytes += more
			g.Seqno++
		}
		return nil
	})
}

// Adopt implements lvm.Manager.
func (m *Manager) Adopt(ctx context.Context, volumeGroup, name string, tags ...string) (lvm.Report, error) {
	var report lvm.Report
	err := m.run(ctx, Adopt, volumeGroup, name, func() error {
		g, err := m.changeable(volumeGroup)
		if err != nil {
			return err
		}
		lv := g.find(name)
		if lv == nil {
			return fmt.Errorf("logical volume %s/%s: %w", volumeGroup, name, lvm.ErrNotFound)
		}
		if slices.Contains(lv.Tags, lvm.TagAdopt) {
			lv.Tags = slices.DeleteFunc(lv.Tags, func(tag string) bool { return tag == lvm.TagAdopt })
			lv.Tags = append(append(lv.Tags, lvm.TagOwned, lvm.TagReady), tags...)
			g.Seqno++
		} else if _, err := g.owned(name); err != nil {
			return err
		} else if !slices.Contains(lv.Tags, lvm.TagReady) {
			return fmt.Errorf("logical volume %s/%s is being made", volumeGroup, name)
		}
		report = m.reportLocked([]string{volumeGroup})
		return nil
	})
	return report, err
}

// checkDisks finds devices that are there and free; the caller holds mu.
func (m *Manager) checkDisks(devices []string) error {
	for _, device := range devices {
		if _, ok := m.disks[device]; !ok {
			return fmt.Errorf("device %s: %w", device, lvm.ErrNotFound)
		}
		for _, g := range m.groups {
			if slices.ContainsFunc(g.PhysicalVolumes, func(pv lvm.PhysicalVolume) bool { return pv.Name == device }) {
				return fmt.Errorf("device %s is volume group %s's: %w", device, g.Name, lvm.ErrInUse)
			}
		}
	}
	return nil
}

func (m *Manager) addDisks(g *group, devices []string) {
	for _, device := range devices {
		bytes := wholeExtents(m.disks[device], g)
		g.PhysicalVolumes = append(g.PhysicalVolumes, lvm.PhysicalVolume{
			Name: device, UUID: m.uuid(), SizeBytes: bytes, FreeBytes: bytes, Allocatable: true,
		})
	}
}

func wholeExtents(bytes int64, g *group) int64 { return bytes / g.ExtentSizeBytes * g.ExtentSizeBytes }

func only(devices []string) string {
	if len(devices) == 1 {
		return devices[0]
	}
	return ""
}
