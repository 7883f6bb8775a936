package lvmtest

import (
	"context"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

const pool = "pool"

var thin = lvm.Layout{Type: lvm.LayoutThin, ThinPool: pool, OverprovisionPercent: 1000}

// poolRequest asks for a pool of 16 extents anywhere in the volume group, with metadata of one.
func (e *Environment) poolRequest(t *testing.T) (lvm.PoolRequest, lvm.VolumeGroup) {
	t.Helper()
	vg := e.volumeGroup(t)
	request := lvm.PoolRequest{VolumeGroup: vg.Name, Name: pool, SizeBytes: 16 * vg.ExtentSizeBytes, MetadataSizeBytes: vg.ExtentSizeBytes,
		ErrorWhenFull: true}
	for _, pv := range vg.PhysicalVolumes {
		request.PhysicalVolumes = append(request.PhysicalVolumes, pv.Name)
	}
	return request, vg
}

// createPool makes such a pool.
func (e *Environment) createPool(t *testing.T) lvm.PoolRequest {
	t.Helper()
	request, _ := e.poolRequest(t)
	if err := e.Manager.CreatePool(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	return request
}

// createThin makes a thin volume in the pool.
func (e *Environment) createThin(t *testing.T, name string, extents int64) lvm.CreateRequest {
	t.Helper()
	request := e.request(t, name, extents)
	request.Layout, request.PhysicalVolumes = thin, nil
	if err := e.Manager.Create(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	return request
}

// wantPool is the volume group with its only pool, which is of the sizes of request.
func (e *Environment) wantPool(t *testing.T, request lvm.PoolRequest, virtualBytes int64) lvm.VolumeGroup {
	t.Helper()
	vg := e.volumeGroup(t)
	if len(vg.ThinPools) != 1 {
		t.Fatalf("thin pools %+v, want one", vg.ThinPools)
	}
	got := vg.ThinPools[0]
	got.MetadataUsedBytes = 0 // an empty pool has some
	want := lvm.ThinPool{Name: pool, SizeBytes: request.SizeBytes, MetadataSizeBytes: request.MetadataSizeBytes, VirtualBytes: virtualBytes, Zeroes: true}
	if got != want {
		t.Errorf("pool %+v, want %+v", got, want)
	}
	return vg
}

func poolMade(t *testing.T, e *Environment) {
	request, before := e.poolRequest(t)
	tooLarge := request
	tooLarge.SizeBytes = before.FreeBytes
	wantError(t, e.Manager.CreatePool(context.Background(), tooLarge), lvm.ErrNoSpace)
	// LVM makes the data before it finds no room for the metadata, and takes it back.
	if now := e.volumeGroup(t); now.FreeBytes != before.FreeBytes || len(now.LogicalVolumes) > 0 {
		t.Errorf("volume group %+v, want it empty", now)
	}
	if err := e.Manager.CreatePool(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	after := e.wantPool(t, request, 0)
	// Data, metadata, and the spare.
	if taken := before.FreeBytes - after.FreeBytes; taken != 18*before.ExtentSizeBytes {
		t.Errorf("%d bytes taken, want 18 extents", taken)
	}
	lv, ok := after.LogicalVolume(pool)
	if !ok || lv.Type != lvm.TypeThinPool || !lv.Active || lv.SizeBytes != request.SizeBytes || !slices.Equal(lv.Tags, []string{lvm.TagOwned}) {
		t.Errorf("logical volume %+v (found: %t), want an active pool of Berth's", lv, ok)
	}
	if len(after.LogicalVolumes) != 1 {
		t.Errorf("logical volumes %+v, want the pool alone", after.LogicalVolumes)
	}
	wantError(t, e.Manager.CreatePool(context.Background(), request), lvm.ErrExists)
	wantError(t, e.Manager.Remove(context.Background(), e.VolumeGroup, pool), lvm.ErrForeign)
	e.wantUnchanged(t, after)
}

func poolGrows(t *testing.T, e *Environment) {
	request := e.createPool(t)
	e.createThin(t, first, 1)
	extent := request.MetadataSizeBytes
	for _, step := range []struct{ data, metadata int64 }{{20, 1}, {20, 2}, {22, 3}, {22, 3}} {
		request.SizeBytes, request.MetadataSizeBytes = step.data*extent, step.metadata*extent
		if err := e.Manager.ExtendPool(context.Background(), request); err != nil {
			t.Fatal(err)
		}
		e.wantPool(t, request, extent)
	}
	before := e.volumeGroup(t)
	smaller := request
	smaller.SizeBytes, smaller.MetadataSizeBytes = extent, extent
	if err := e.Manager.ExtendPool(context.Background(), smaller); err != nil {
		t.Error(err)
	}
	tooLarge := request
	tooLarge.SizeBytes = before.SizeBytes
	wantError(t, e.Manager.ExtendPool(context.Background(), tooLarge), lvm.ErrNoSpace)
	request.Name = first
	wantError(t, e.Manager.ExtendPool(context.Background(), request), lvm.ErrNotFound)
	e.wantUnchanged(t, before)
}

func thinVolume(t *testing.T, e *Environment) {
	missing := e.request(t, first, 1)
	missing.Layout = thin
	wantError(t, e.Manager.Create(context.Background(), missing), lvm.ErrNotFound)
	poolRequest := e.createPool(t)
	before := e.volumeGroup(t)
	request := e.createThin(t, first, 20) // more than the pool has
	extent := before.ExtentSizeBytes
	after := e.wantPool(t, poolRequest, 20*extent)
	lv, _ := after.LogicalVolume(first)
	if lv.Type != lvm.LayoutThin || lv.ThinPool != pool || lv.SizeBytes != 20*extent || !lv.Active || lv.Origin != "" ||
		!slices.Equal(lv.Tags, []string{lvm.TagOwned}) {
		t.Errorf("volume %+v, want a thin one of 20 extents", lv)
	}
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrExists)
	if err := e.Manager.Extend(context.Background(), extend(request, 30*extent)); err != nil {
		t.Fatal(err)
	}
	after = e.wantPool(t, poolRequest, 30*extent)
	if after.FreeBytes != before.FreeBytes {
		t.Errorf("%d bytes free, want %d as before", after.FreeBytes, before.FreeBytes)
	}
	e.wantBytes(t, first, "\x00", 30*extent)
	if err := e.Manager.Remove(context.Background(), e.VolumeGroup, first); err != nil {
		t.Fatal(err)
	}
	e.wantPool(t, poolRequest, 0)
}

func absorbNotLinear(t *testing.T, e *Environment) {
	e.createPool(t)
	e.createThin(t, first, 1)
	e.create(t, second, 1)
	before := e.volumeGroup(t)
	donor, _ := before.LogicalVolume(second)
	_, err := e.absorb(second, donor.UUID)
	wantError(t, err, lvm.ErrInvalidLayout)
	e.wantUnchanged(t, before)
}
