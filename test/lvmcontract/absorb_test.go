//go:build lab

package lvmcontract

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	lvmapi "github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmcli"
)

const donorExtents = 70 // more than one of the disks has

// TestAbsorbKeepsBytes marks every extent of a donor and finds each mark once in the volume that absorbed it.
func TestAbsorbKeepsBytes(t *testing.T) {
	newGroup(t, 2)
	lvm(t, "lvcreate", "--yes", "--extents", "2", "--name", "a", "--addtag", lvmapi.TagOwned, group)
	lvm(t, "lvcreate", "--yes", "--extents", strconv.Itoa(donorExtents), "--name", "a-grow", "--addtag", lvmapi.TagOwned, "--addtag", lvmapi.TagGrow, group)
	manager := lvmcli.New(lvmcli.Options{})
	before := groupNow(t, manager)
	donor, _ := before.LogicalVolume("a-grow")
	mark(t, manager.DevicePath(group, "a-grow"), before.ExtentSizeBytes)
	started := time.Now()
	report, err := manager.Absorb(context.Background(), lvmapi.AbsorbRequest{VolumeGroup: group, Name: "a", Donor: "a-grow", DonorUUID: donor.UUID})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("absorb takes %v and %d seqnos", time.Since(started), report.VolumeGroups[group].Seqno-before.Seqno)
	device, err := os.OpenFile(manager.DevicePath(group, "a"), os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	found := map[uint64]bool{}
	extent := make([]byte, before.ExtentSizeBytes)
	for i := range int64(donorExtents) {
		if _, err := device.ReadAt(extent, (2+i)*before.ExtentSizeBytes); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(extent[:8], extent[len(extent)-8:]) {
			t.Errorf("extent %d begins and ends with different marks", 2+i)
		}
		found[binary.LittleEndian.Uint64(extent)] = true
	}
	for i := range uint64(donorExtents) {
		if !found[i+1] {
			t.Errorf("extent %d of the donor is not in the volume", i)
		}
	}
}

// mark numbers a device's extents from 1, at both ends of each.
func mark(t *testing.T, path string, extentBytes int64) {
	t.Helper()
	device, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for i := range int64(donorExtents) {
		number := binary.LittleEndian.AppendUint64(nil, uint64(i+1))
		for _, offset := range []int64{0, extentBytes - int64(len(number))} {
			if _, err := device.WriteAt(number, i*extentBytes+offset); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := device.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestAbsorbWaitsForLVM holds LVM's own lock on the volume group, as a command of the host's does.
func TestAbsorbWaitsForLVM(t *testing.T) {
	newGroup(t, 2)
	for _, name := range []string{"a", "a-grow"} {
		lvm(t, "lvcreate", "--yes", "--extents", "1", "--name", name, "--addtag", lvmapi.TagOwned, group)
	}
	manager := lvmcli.New(lvmcli.Options{})
	vg := groupNow(t, manager)
	donor, _ := vg.LogicalVolume("a-grow")
	lock, err := os.OpenFile(lvmcli.DefaultLockDirectory+"/V_"+group, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := manager.Absorb(context.Background(), lvmapi.AbsorbRequest{VolumeGroup: group, Name: "a", Donor: "a-grow", DonorUUID: donor.UUID})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("absorb did not wait: %v", err)
	case <-time.After(time.Second):
	}
	lock.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// LVM's own commands find the lock free.
	lvm(t, "lvremove", "--yes", group+"/a")
}

func groupNow(t *testing.T, manager *lvmcli.Manager) lvmapi.VolumeGroup {
	t.Helper()
	report, err := manager.Report(context.Background(), []string{group})
	if err != nil {
		t.Fatal(err)
	}
	return report.VolumeGroups[group]
}
