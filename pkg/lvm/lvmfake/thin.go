package lvmfake

import (
	"fmt"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
)

// spare is the hidden LV that LVM keeps for repairs of pool metadata.
const spare = "lvol0_pmspare"

// createPool takes a new pool's data and metadata, and enlarges the spare.
func (g *group) createPool(request lvm.PoolRequest) (lvm.LogicalVolume, error) {
	data, metadata, err := g.poolSizes(request)
	if err == nil && (data == 0 || metadata == 0) {
		err = fmt.Errorf("thin pool of %d bytes, metadata of %d: %w", request.SizeBytes, request.MetadataSizeBytes, lvm.ErrInvalidSize)
	}
	if err == nil {
		err = g.takeForPool(request.Name, data, metadata, metadata, request.PhysicalVolumes)
	}
	if err != nil {
		return lvm.LogicalVolume{}, err
	}
	g.errorWhenFull[request.Name] = request.ErrorWhenFull
	g.ThinPools = append(g.ThinPools, lvm.ThinPool{Name: request.Name, SizeBytes: data, MetadataSizeBytes: metadata, Zeroes: true})
	return lvm.LogicalVolume{Name: request.Name, SizeBytes: data, Tags: []string{lvm.TagOwned}, Type: lvm.TypeThinPool}, nil
}

// extendPool takes what a pool needs to come to the sizes asked for.
func (g *group) extendPool(request lvm.PoolRequest) error {
	pool := g.pool(request.Name)
	if pool == nil {
		return fmt.Errorf("thin pool %s/%s: %w", g.Name, request.Name, lvm.ErrNotFound)
	}
	data, metadata, err := g.poolSizes(request)
	if err != nil {
		return err
	}
	data, metadata = max(data, pool.SizeBytes), max(metadata, pool.MetadataSizeBytes)
	if data == pool.SizeBytes && metadata == pool.MetadataSizeBytes {
		return nil
	}
	if err := g.takeForPool(pool.Name, data-pool.SizeBytes, metadata-pool.MetadataSizeBytes, metadata, request.PhysicalVolumes); err != nil {
		return err
	}
	pool.SizeBytes, pool.MetadataSizeBytes = data, metadata
	g.find(pool.Name).SizeBytes = data
	g.Seqno++
	return nil
}

func (g *group) poolSizes(request lvm.PoolRequest) (data, metadata int64, err error) {
	if data, err = lvm.RoundUp(request.SizeBytes, g.ExtentSizeBytes); err == nil {
		metadata, err = lvm.RoundUp(request.MetadataSizeBytes, g.ExtentSizeBytes)
	}
	return data, metadata, err
}

// takeForPool takes bytes for a pool and what the spare lacks to hold the metadata of any pool: all or nothing.
func (g *group) takeForPool(name string, data, metadata, spareBytes int64, from []string) error {
	for _, bytes := range g.taken[spare] {
		spareBytes -= bytes
	}
	spareBytes = max(spareBytes, 0)
	if err := g.allocate(name, data+metadata+spareBytes, from); err != nil {
		return err
	}
	for _, pv := range g.open(from) { // of what was taken the spare's share is its own
		part := min(spareBytes, g.taken[name][pv.Name])
		g.take(name, pv, -part)
		g.take(spare, pv, part)
		spareBytes -= part
	}
	return nil
}

func (g *group) pool(name string) *lvm.ThinPool {
	for i := range g.ThinPools {
		if g.ThinPools[i].Name == name {
			return &g.ThinPools[i]
		}
	}
	return nil
}

// forgetPool forgets a pool that was removed, and with the last one the spare.
func (g *group) forgetPool(name string) {
	if g.pool(name) == nil {
		return
	}
	g.ThinPools = slices.DeleteFunc(g.ThinPools, func(pool lvm.ThinPool) bool { return pool.Name == name })
	delete(g.errorWhenFull, name)
	if len(g.ThinPools) == 0 {
		g.release(spare)
	}
}

// takesVolumes refuses new volumes as LVM does: in a pool without free data, or with less free metadata than a quarter
// or 4 MiB.
func (g *group) takesVolumes(name string) error {
	pool := g.pool(name)
	if pool == nil {
		return fmt.Errorf("thin pool %s/%s: %w", g.Name, name, lvm.ErrNotFound)
	}
	free := pool.MetadataSizeBytes - pool.MetadataUsedBytes
	if pool.DataUsedBytes >= pool.SizeBytes || free < min(pool.MetadataSizeBytes/4, 4<<20) {
		return fmt.Errorf("thin pool %s/%s is full: %w", g.Name, name, lvm.ErrNoSpace)
	}
	return nil
}

// virtualBytes are the sizes of the volumes in a pool, added up.
func (g *group) virtualBytes(pool string) int64 {
	var total int64
	for _, lv := range g.LogicalVolumes {
		if lv.ThinPool == pool {
			total += lv.SizeBytes
		}
	}
	return total
}

// snapshot takes what a snapshot takes: nothing in its origin's pool, or extents for what is copied when the origin
// changes.
func (g *group) snapshot(request lvm.SnapshotRequest) (lvm.LogicalVolume, error) {
	origin, err := g.owned(request.Origin)
	if err != nil {
		return lvm.LogicalVolume{}, err
	}
	lv := lvm.LogicalVolume{
		Name: request.Name, Origin: origin.Name, Type: lvm.LayoutLinear,
		Tags: append([]string{lvm.TagOwned}, request.Tags...),
	}
	if (origin.ThinPool != "") != (request.SizeBytes == 0) {
		return lvm.LogicalVolume{}, fmt.Errorf("snapshot of %s of %d bytes: %w", origin.Name, request.SizeBytes, lvm.ErrInvalidSize)
	}
	if origin.ThinPool != "" {
		lv.Type, lv.ThinPool, lv.SizeBytes = lvm.LayoutThin, origin.ThinPool, origin.SizeBytes
		return lv, g.takesVolumes(origin.ThinPool)
	}
	if isThick(*origin) || origin.Type == lvm.TypeThinPool {
		return lvm.LogicalVolume{}, fmt.Errorf("logical volume %s/%s cannot have a snapshot", g.Name, origin.Name)
	}
	if lv.SizeBytes, err = g.wholeSize(request.SizeBytes, lvm.Layout{}); err != nil {
		return lvm.LogicalVolume{}, err
	}
	return lv, g.allocate(lv.Name, lv.SizeBytes, request.PhysicalVolumes)
}
