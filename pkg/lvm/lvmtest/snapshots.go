package lvmtest

import (
	"context"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

const snapshot = "snap-00000000-0000-4000-8000-000000000001"

// snapshotRequest asks for a snapshot of the first LV, of so many extents anywhere in the volume group.
func (e *Environment) snapshotRequest(t *testing.T, extents int64) lvm.SnapshotRequest {
	t.Helper()
	request := e.request(t, snapshot, extents)
	return lvm.SnapshotRequest{VolumeGroup: e.VolumeGroup, Name: snapshot, Origin: first, SizeBytes: request.SizeBytes,
		PhysicalVolumes: request.PhysicalVolumes, Tags: []string{lvm.TagSnapshot}}
}

// wantSnapshot is the volume group with a snapshot of the first LV, or of nothing any more.
func (e *Environment) wantSnapshot(t *testing.T, origin string) (lvm.VolumeGroup, lvm.LogicalVolume) {
	t.Helper()
	vg := e.volumeGroup(t)
	lv, ok := vg.LogicalVolume(snapshot)
	slices.Sort(lv.Tags)
	if !ok || lv.Origin != origin || !lv.Active || lv.Invalid || !slices.Equal(lv.Tags, []string{lvm.TagOwned, lvm.TagSnapshot}) {
		t.Errorf("snapshot %+v (found: %t), want an active one of %q", lv, ok, origin)
	}
	return vg, lv
}

func thinSnapshot(t *testing.T, e *Environment) {
	e.createPool(t)
	size := e.createThin(t, first, 2).SizeBytes
	e.write(t, first, "before")
	request := e.snapshotRequest(t, 0)
	if err := e.Manager.Snapshot(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	e.write(t, first, "after!")
	vg, lv := e.wantSnapshot(t, first)
	if lv.Type != lvm.LayoutThin || lv.ThinPool != pool || lv.SizeBytes != size || vg.ThinPools[0].VirtualBytes != 2*size {
		t.Errorf("snapshot %+v in pool %+v, want one of the volume's size there", lv, vg.ThinPools)
	}
	wantError(t, e.Manager.Snapshot(context.Background(), request), lvm.ErrExists)
	// Its size is its own.
	grown := extend(lvm.CreateRequest{VolumeGroup: e.VolumeGroup, Name: first, Layout: thin}, 2*size)
	if err := e.Manager.Extend(context.Background(), grown); err != nil {
		t.Error(err)
	}
	e.wantBytes(t, snapshot, "before", size)
	if err := e.Manager.Remove(context.Background(), e.VolumeGroup, first); err != nil {
		t.Fatal(err)
	}
	e.wantSnapshot(t, "")
	e.wantBytes(t, snapshot, "before", size)
	e.Deactivate(t, snapshot)
	if err := e.Manager.Activate(context.Background(), e.VolumeGroup, []string{snapshot}); err != nil {
		t.Error(err)
	}
	e.wantSnapshot(t, "")
	if err := e.Manager.Remove(context.Background(), e.VolumeGroup, snapshot); err != nil {
		t.Error(err)
	}
	if vg := e.volumeGroup(t); vg.ThinPools[0].VirtualBytes != 0 || len(vg.LogicalVolumes) != 1 {
		t.Errorf("volume group %+v, want an empty pool", vg)
	}
}

func thickSnapshot(t *testing.T, e *Environment) {
	volume := e.create(t, first, 4)
	e.write(t, first, "before")
	request := e.snapshotRequest(t, 2)
	before := e.volumeGroup(t)
	if err := e.Manager.Snapshot(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	e.write(t, first, "after!")
	vg, lv := e.wantSnapshot(t, first)
	if lv.Type != lvm.LayoutLinear || lv.ThinPool != "" || lv.SizeBytes != request.SizeBytes || before.FreeBytes-vg.FreeBytes != request.SizeBytes {
		t.Errorf("snapshot %+v took %d bytes, want %d", lv, before.FreeBytes-vg.FreeBytes, request.SizeBytes)
	}
	if origin, _ := vg.LogicalVolume(first); origin.Type != lvm.LayoutLinear || origin.Origin != "" || origin.SizeBytes != volume.SizeBytes {
		t.Errorf("origin %+v, want it as it was", origin)
	}
	wantError(t, e.Manager.Remove(context.Background(), e.VolumeGroup, first), lvm.ErrInUse)
	wantError(t, e.Manager.Extend(context.Background(), extend(volume, 2*volume.SizeBytes)), lvm.ErrInUse)
	e.wantUnchanged(t, vg)
	grown := lvm.ExtendRequest{VolumeGroup: e.VolumeGroup, Name: snapshot, SizeBytes: request.SizeBytes / 2 * 3, PhysicalVolumes: request.PhysicalVolumes}
	if err := e.Manager.Extend(context.Background(), grown); err != nil {
		t.Fatal(err)
	}
	if _, lv := e.wantSnapshot(t, first); lv.SizeBytes != grown.SizeBytes {
		t.Errorf("snapshot of %d bytes, want %d", lv.SizeBytes, grown.SizeBytes)
	}
	e.wantBytes(t, snapshot, "before", volume.SizeBytes)
	for _, name := range []string{snapshot, first} {
		if err := e.Manager.Remove(context.Background(), e.VolumeGroup, name); err != nil {
			t.Error(err)
		}
	}
	if vg := e.volumeGroup(t); vg.FreeBytes != vg.SizeBytes {
		t.Errorf("volume group %+v, want it empty", vg)
	}
}

func snapshotRefused(t *testing.T, e *Environment) {
	e.createPool(t)
	e.create(t, first, 4)
	e.createThin(t, second, 1)
	e.MakeLogicalVolume(t, foreign)
	before := e.volumeGroup(t)
	good := e.snapshotRequest(t, 1)
	for _, c := range []struct {
		name   string
		change func(*lvm.SnapshotRequest)
		want   error
	}{
		{"a thick one without a size", func(r *lvm.SnapshotRequest) { r.SizeBytes = 0 }, lvm.ErrInvalidSize},
		{"a thin one with a size", func(r *lvm.SnapshotRequest) { r.Origin = second }, lvm.ErrInvalidSize},
		{"nowhere to lie", func(r *lvm.SnapshotRequest) { r.PhysicalVolumes = nil }, lvm.ErrNoSpace},
		{"not ours", func(r *lvm.SnapshotRequest) { r.Origin = foreign }, lvm.ErrForeign},
		{"no origin", func(r *lvm.SnapshotRequest) { r.Origin = "no-such-volume" }, lvm.ErrNotFound},
		{"no volume group", func(r *lvm.SnapshotRequest) { r.VolumeGroup = "no-such-group" }, lvm.ErrNotFound},
		{"a name that is taken", func(r *lvm.SnapshotRequest) { r.Name = second }, lvm.ErrExists},
	} {
		request := good
		c.change(&request)
		t.Log(c.name)
		wantError(t, e.Manager.Snapshot(context.Background(), request), c.want)
	}
	e.wantUnchanged(t, before)
}

func tags(t *testing.T, e *Environment) {
	e.create(t, first, 1)
	for range 2 {
		if err := e.Manager.Tag(context.Background(), e.VolumeGroup, first, lvm.TagLUKS, "berth.dev/fs=xfs"); err != nil {
			t.Fatal(err)
		}
		lv, _ := e.logicalVolume(t, first)
		if slices.Sort(lv.Tags); !slices.Equal(lv.Tags, []string{lvm.TagOwned, "berth.dev/fs=xfs", lvm.TagLUKS}) {
			t.Errorf("tags %v", lv.Tags)
		}
	}
}

func tagRefused(t *testing.T, e *Environment) {
	e.MakeLogicalVolume(t, foreign)
	before := e.volumeGroup(t)
	wantError(t, e.Manager.Tag(context.Background(), e.VolumeGroup, foreign, lvm.TagLUKS), lvm.ErrForeign)
	wantError(t, e.Manager.Tag(context.Background(), e.VolumeGroup, first, lvm.TagLUKS), lvm.ErrNotFound)
	wantError(t, e.Manager.Tag(context.Background(), "no-such-group", first, lvm.TagLUKS), lvm.ErrNotFound)
	e.wantUnchanged(t, before)
}
