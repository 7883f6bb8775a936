package lvmfake_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

const extent = lvmfake.DefaultExtentSizeBytes

var both = []string{"/dev/" + group + "-0", "/dev/" + group + "-1"}

// newFake has a pool of 10 extents with one of metadata, a linear volume with a thick snapshot, and a raid1.
func newFake(t *testing.T) *lvmfake.Manager {
	t.Helper()
	ctx, fake := context.Background(), lvmfake.New("")
	fake.AddVolumeGroup(group, pvBytes, pvBytes)
	for _, err := range []error{
		fake.CreatePool(ctx, lvm.PoolRequest{VolumeGroup: group, Name: "pool", SizeBytes: 10 * extent, MetadataSizeBytes: extent, PhysicalVolumes: both}),
		fake.Create(ctx, request()),
		fake.Snapshot(ctx, lvm.SnapshotRequest{VolumeGroup: group, Name: "snap", Origin: "pvc-1", SizeBytes: 2 * extent, PhysicalVolumes: both}),
		fake.Create(ctx, lvm.CreateRequest{VolumeGroup: group, Name: "raid", SizeBytes: extent, Layout: lvm.Layout{Type: lvm.LayoutRAID1, Mirrors: 2}, PhysicalVolumes: both}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return fake
}

func TestFullPool(t *testing.T) {
	fake := newFake(t)
	thin := request()
	thin.Name, thin.Layout = "thin", lvm.Layout{Type: lvm.LayoutThin, ThinPool: "pool", OverprovisionPercent: 100}
	for _, c := range []struct {
		name           string
		data, metadata int64
		want           dm.PoolMode
		wantErr        error
	}{
		{"data full", 10 * extent, 0, dm.PoolOutOfSpace, lvm.ErrNoSpace},
		{"metadata nearly full", 0, 3*extent/4 + 1, dm.PoolReadWrite, lvm.ErrNoSpace},
		{"metadata full", 0, extent, dm.PoolReadOnly, lvm.ErrNoSpace},
		{"room for more", 10*extent - 1, 3 * extent / 4, dm.PoolReadWrite, nil},
	} {
		fake.SetPoolUsed(group, "pool", c.data, c.metadata)
		status, err := fake.ThinPoolStatus(group, "pool")
		if err != nil || status.Mode != c.want || status.DataUsedBytes != c.data || status.MetadataUsedBytes != c.metadata {
			t.Errorf("%s: status %+v (%v), want %s", c.name, status, err, c.want)
		}
		if err := fake.Create(context.Background(), thin); !errors.Is(err, c.wantErr) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.wantErr)
		}
	}
	if err := fake.RemoveLogicalVolume(group, "pool"); err != nil {
		t.Fatal(err)
	}
	if vg := reported(t, fake); len(vg.ThinPools) != 0 || len(vg.LogicalVolumes) != 3 {
		t.Errorf("volume group %+v, want the pool gone with all in it", vg)
	}
	if _, err := fake.ThinPoolStatus(group, "pool"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want not exist", err)
	}
}

func TestSnapshotOverflows(t *testing.T) {
	fake := newFake(t)
	fake.SetSnapshotUsed(group, "snap", extent)
	if status, err := fake.SnapshotStatus(group, "snap"); err != nil || status != (dm.Snapshot{UsedBytes: extent, SizeBytes: 2 * extent}) {
		t.Errorf("status %+v (%v), want half of it used", status, err)
	}
	fake.SetSnapshotUsed(group, "snap", 3*extent)
	fake.SetSnapshotUsed(group, "snap", extent) // never valid again
	if status, err := fake.SnapshotStatus(group, "snap"); err != nil || status != (dm.Snapshot{Invalid: true}) {
		t.Errorf("status %+v (%v), want it invalid", status, err)
	}
	vg := reported(t, fake)
	if lv, _ := vg.LogicalVolume("snap"); !lv.Invalid {
		t.Errorf("snapshot %+v, want it invalid", lv)
	}
}

func TestDamagedLegs(t *testing.T) {
	for _, c := range []struct {
		name               string
		damage             func(*lvmfake.Manager)
		wantHealth, wantDM string
	}{
		{"none", func(*lvmfake.Manager) {}, "", "AA"},
		{"a failed one", func(fake *lvmfake.Manager) { fake.DamageLeg(group, "raid") }, "refresh needed", "DA"},
		{"a repaired one", func(fake *lvmfake.Manager) { fake.DamageLeg(group, "raid"); fake.RepairLegs(group, "raid") }, "", "AA"},
		// The second leg's: the first is on the physical volume that had more free.
		{"a lost disk", func(fake *lvmfake.Manager) {
			fake.Change(group, func(vg *lvm.VolumeGroup) { vg.PhysicalVolumes[0].Missing = true })
		}, "partial", "AD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := newFake(t)
			c.damage(fake)
			vg := reported(t, fake)
			lv, _ := vg.LogicalVolume("raid")
			status, err := fake.RAIDStatus(group, "raid")
			if err != nil || lv.Health != c.wantHealth || status.Health != c.wantDM {
				t.Errorf("health %q, %q (%v); want %q, %q", lv.Health, status.Health, err, c.wantHealth, c.wantDM)
			}
		})
	}
}

func reported(t *testing.T, fake *lvmfake.Manager) lvm.VolumeGroup {
	t.Helper()
	report, err := fake.Report(context.Background(), []string{group})
	if err != nil {
		t.Fatal(err)
	}
	return report.VolumeGroups[group]
}
