package lvmfake

import (
	"fmt"
	"os"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
)

// blockBytes is the size of every pool's blocks, LVM's least.
const blockBytes = 64 << 10

// SetPoolUsed fills a thin pool to the bytes given.
func (m *Manager) SetPoolUsed(volumeGroup, pool string, dataBytes, metadataBytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.groups[volumeGroup].pool(pool); p != nil {
		p.DataUsedBytes, p.MetadataUsedBytes = dataBytes, metadataBytes
	}
}

// SetSnapshotUsed has a thick snapshot hold so many bytes; more than it has room for overflow it.
func (m *Manager) SetSnapshotUsed(volumeGroup, name string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups[volumeGroup]
	if lv := g.find(name); lv != nil {
		g.copied[name] = bytes
		lv.Invalid = lv.Invalid || bytes > lv.SizeBytes
	}
}

// DamageLeg has a RAID volume's leg fail while its disk stays.
func (m *Manager) DamageLeg(volumeGroup, name string) {
	m.setLogicalVolume(volumeGroup, name, func(lv *lvm.LogicalVolume) { lv.Health = "refresh needed" })
}

// RepairLegs undoes DamageLeg.
func (m *Manager) RepairLegs(volumeGroup, name string) {
	m.setLogicalVolume(volumeGroup, name, func(lv *lvm.LogicalVolume) { lv.Health = "" })
}

// ThinPoolStatus is what dm.ThinPoolStatus tells of a pool.
func (m *Manager) ThinPoolStatus(volumeGroup, pool string) (dm.ThinPool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, _, err := m.activeLocked(volumeGroup, pool)
	if err != nil {
		return dm.ThinPool{}, err
	}
	p := g.pool(pool)
	if p == nil {
		return dm.ThinPool{}, fmt.Errorf("%s/%s is no thin pool", volumeGroup, pool)
	}
	status := dm.ThinPool{
		Mode: dm.PoolReadWrite, ErrorWhenFull: g.errorWhenFull[pool], BlockBytes: blockBytes,
		DataUsedBytes: p.DataUsedBytes, SizeBytes: p.SizeBytes,
		MetadataUsedBytes: p.MetadataUsedBytes, MetadataSizeBytes: p.MetadataSizeBytes,
	}
	switch {
	case p.MetadataUsedBytes >= p.MetadataSizeBytes:
		status.Mode, status.NeedsCheck = dm.PoolReadOnly, true
	case p.DataUsedBytes >= p.SizeBytes:
		status.Mode = dm.PoolOutOfSpace
	}
	return status, nil
}

// SnapshotStatus is what dm.SnapshotStatus tells of a thick snapshot.
func (m *Manager) SnapshotStatus(volumeGroup, snapshot string) (dm.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, lv, err := m.activeLocked(volumeGroup, snapshot)
	switch {
	case err != nil:
		return dm.Snapshot{}, err
	case !isThick(*lv):
		return dm.Snapshot{}, fmt.Errorf("%s/%s is no thick snapshot", volumeGroup, snapshot)
	case lv.Invalid:
		return dm.Snapshot{Invalid: true}, nil
	}
	return dm.Snapshot{UsedBytes: g.copied[snapshot], SizeBytes: lv.SizeBytes}, nil
}

// RAIDStatus is what dm.RAIDStatus tells of a RAID volume. A damaged leg is the first one; legs are always in sync.
func (m *Manager) RAIDStatus(volumeGroup, volume string) (dm.RAID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, lv, err := m.activeLocked(volumeGroup, volume)
	if err != nil {
		return dm.RAID{}, err
	}
	if len(lv.Legs) == 0 || lv.Type == lvm.LayoutStriped {
		return dm.RAID{}, fmt.Errorf("%s/%s is no RAID volume", volumeGroup, volume)
	}
	sectors := lv.SizeBytes / 512
	health := []byte(strings.Repeat("A", len(lv.Legs)))
	if lv.Health != "" {
		health[0] = 'D'
	}
	for i, leg := range lv.Legs {
		for _, pv := range g.PhysicalVolumes {
			if pv.Missing && pv.Name == leg[0] {
				health[i] = 'D'
			}
		}
	}
	return dm.RAID{Health: string(health), SyncAction: "idle", InSyncSectors: sectors, SyncSectors: sectors}, nil
}

// activeLocked finds an active LV.
// Errors: os.ErrNotExist.
func (m *Manager) activeLocked(volumeGroup, name string) (*group, *lvm.LogicalVolume, error) {
	if g := m.groups[volumeGroup]; g != nil {
		if lv := g.find(name); lv != nil && lv.Active {
			return g, lv, nil
		}
	}
	return nil, nil, fmt.Errorf("device %s: %w", dm.Name(volumeGroup, name), os.ErrNotExist)
}
