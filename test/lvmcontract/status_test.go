//go:build lab

package lvmcontract

import (
	"bytes"
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	lvmapi "github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
	"github.com/berth-dev/berth/pkg/lvm/lvmcli"
)

const mib = 1 << 20

// TestFullPool fills a pool, and extends it.
func TestFullPool(t *testing.T) {
	ctx, manager := context.Background(), lvmcli.New(lvmcli.Options{})
	devices := newGroup(t, 2)
	pool := lvmapi.PoolRequest{VolumeGroup: group, Name: "the-pool", SizeBytes: 16 * mib, MetadataSizeBytes: 4 * mib, PhysicalVolumes: devices[:2], ErrorWhenFull: true}
	check(t, manager.CreatePool(ctx, pool))
	thin := lvmapi.CreateRequest{VolumeGroup: group, Name: "a", SizeBytes: 64 * mib, Layout: lvmapi.Layout{Type: lvmapi.LayoutThin, ThinPool: pool.Name, OverprovisionPercent: 100}}
	wantPool(t, pool, dm.PoolReadWrite, 0)
	check(t, manager.Create(ctx, thin))
	wantPool(t, pool, dm.PoolReadWrite, 0)
	check(t, fill(manager.DevicePath(group, "a"), 8*mib))
	wantPool(t, pool, dm.PoolReadWrite, 8*mib)
	if vg := groupNow(t, manager); vg.ThinPools[0].DataUsedBytes != 8*mib || vg.ThinPools[0].MetadataUsedBytes == 0 {
		t.Errorf("pool %+v, want half of it used, and some metadata", vg.ThinPools[0])
	}
	if err := fill(manager.DevicePath(group, "a"), 32*mib); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v, want no space", err)
	}
	wantPool(t, pool, dm.PoolOutOfSpace, 16*mib)
	vg := groupNow(t, manager)
	if lv, _ := vg.LogicalVolume(pool.Name); lv.Health != "out_of_data" || vg.ThinPools[0].DataUsedBytes != 16*mib {
		t.Errorf("pool %+v, %+v, want it full", lv, vg.ThinPools[0])
	}
	other := thin
	other.Name = "b"
	for what, err := range map[string]error{
		"create":   manager.Create(ctx, other),
		"snapshot": manager.Snapshot(ctx, lvmapi.SnapshotRequest{VolumeGroup: group, Name: "s", Origin: "a"}),
	} {
		if !errors.Is(err, lvmapi.ErrNoSpace) {
			t.Errorf("%s: error %v, want no space", what, err)
		}
	}
	pool.SizeBytes = 64 * mib
	check(t, manager.ExtendPool(ctx, pool))
	check(t, fill(manager.DevicePath(group, "a"), 32*mib))
	wantPool(t, pool, dm.PoolReadWrite, 32*mib)
	check(t, manager.Create(ctx, other))
}

func wantPool(t *testing.T, pool lvmapi.PoolRequest, mode dm.PoolMode, used int64) {
	t.Helper()
	got, err := dm.ThinPoolStatus(group, pool.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Mode != mode || got.DataUsedBytes != used || got.SizeBytes != pool.SizeBytes || got.MetadataSizeBytes != pool.MetadataSizeBytes ||
		got.NeedsCheck || !got.ErrorWhenFull || got.BlockBytes != 64<<10 {
		t.Errorf("pool %+v, want it %s with %d bytes used", got, mode, used)
	}
}

// TestSnapshotOverflows changes more of an origin than its snapshot can hold.
func TestSnapshotOverflows(t *testing.T) {
	ctx, manager := context.Background(), lvmcli.New(lvmcli.Options{})
	devices := newGroup(t, 2)
	check(t, manager.Create(ctx, lvmapi.CreateRequest{VolumeGroup: group, Name: "a", SizeBytes: 32 * mib, PhysicalVolumes: devices[:1]}))
	check(t, manager.Snapshot(ctx, lvmapi.SnapshotRequest{VolumeGroup: group, Name: "s", Origin: "a", SizeBytes: 8 * mib, PhysicalVolumes: devices[1:2]}))
	check(t, fill(manager.DevicePath(group, "a"), 4*mib))
	if got, err := dm.SnapshotStatus(group, "s"); err != nil || got.UsedBytes < 4*mib || got.UsedBytes > 5*mib || got.SizeBytes != 8*mib || got.Invalid || got.Overflow {
		t.Errorf("snapshot %+v (%v), want about half of it used", got, err)
	}
	check(t, fill(manager.DevicePath(group, "a"), 32*mib))
	if got, err := dm.SnapshotStatus(group, "s"); err != nil || !got.Invalid && !got.Overflow {
		t.Errorf("snapshot %+v (%v), want it lost", got, err)
	}
	vg := groupNow(t, manager)
	if lv, _ := vg.LogicalVolume("s"); !lv.Invalid {
		t.Errorf("snapshot %+v, want it invalid", lv)
	}
	check(t, manager.Remove(ctx, group, "s"))
	if _, err := dm.SnapshotStatus(group, "s"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want not exist", err)
	}
}

// TestRAIDStatus watches copies become the same, below a snapshot, too.
func TestRAIDStatus(t *testing.T) {
	ctx, manager := context.Background(), lvmcli.New(lvmcli.Options{})
	devices := newGroup(t, 3)
	raid1 := lvmapi.Layout{Type: lvmapi.LayoutRAID1, Mirrors: 2}
	check(t, manager.Create(ctx, lvmapi.CreateRequest{VolumeGroup: group, Name: "a", Layout: raid1, SizeBytes: 16 * mib, PhysicalVolumes: devices[:2]}))
	waitInSync(t, "AA")
	check(t, manager.Snapshot(ctx, lvmapi.SnapshotRequest{VolumeGroup: group, Name: "s", Origin: "a", SizeBytes: 8 * mib, PhysicalVolumes: devices[2:3]}))
	waitInSync(t, "AA")
	vg := groupNow(t, manager)
	if lv, _ := vg.LogicalVolume("a"); !lv.Made(raid1, 16*mib) || lv.Type != lvmapi.LayoutRAID1 {
		t.Errorf("volume %+v, want its legs apart below a snapshot", lv)
	}
}

func waitInSync(t *testing.T, health string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		got, err := dm.RAIDStatus(group, "a")
		if err != nil {
			t.Fatal(err)
		}
		if got.Health == health && got.InSync() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("RAID volume %+v, want it in sync", got)
		}
	}
}

// fill writes the beginning of a device.
func fill(path string, size int) error {
	device, err := os.OpenFile(path, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	chunk := bytes.Repeat([]byte{0xa5}, mib)
	for written := 0; written < size && err == nil; written += len(chunk) {
		_, err = device.Write(chunk)
	}
	return errors.Join(err, device.Close())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
