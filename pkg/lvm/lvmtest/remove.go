package lvmtest

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func removeTwice(t *testing.T, e *Environment) {
	before := e.volumeGroup(t)
	e.create(t, first, 2)
	for range 2 {
		if err := e.Manager.Remove(context.Background(), e.VolumeGroup, first); err != nil {
			t.Fatal(err)
		}
		after := e.volumeGroup(t)
		if _, found := after.LogicalVolume(first); found || after.FreeBytes != before.FreeBytes {
			t.Errorf("found: %t, %d bytes free; want it gone and %d free", found, after.FreeBytes, before.FreeBytes)
		}
	}
}

func removeForeign(t *testing.T, e *Environment) {
	e.MakeLogicalVolume(t, foreign, "berth.devel", lvm.TagReady)
	wantError(t, e.Manager.Remove(context.Background(), e.VolumeGroup, foreign), lvm.ErrForeign)
	if _, found := e.logicalVolume(t, foreign); !found {
		t.Error("the foreign volume is gone")
	}
}

func removeOpen(t *testing.T, e *Environment) {
	e.create(t, first, 1)
	release := e.Hold(t, first)
	if lv, _ := e.logicalVolume(t, first); !lv.Open {
		t.Errorf("volume %+v, want it open", lv)
	}
	wantError(t, e.Manager.Remove(context.Background(), e.VolumeGroup, first), lvm.ErrInUse)
	release()
	if err := e.Manager.Remove(context.Background(), e.VolumeGroup, first); err != nil {
		t.Error(err)
	}
}

func removeWithoutVolumeGroup(t *testing.T, e *Environment) {
	wantError(t, e.Manager.Remove(context.Background(), "no-such-group", first), lvm.ErrNotFound)
}

func activates(t *testing.T, e *Environment) {
	request := e.create(t, first, 2)
	e.create(t, second, 1)
	e.Deactivate(t, first)
	if lv, _ := e.logicalVolume(t, first); lv.Active {
		t.Errorf("volume %+v, want it inactive", lv)
	}
	if err := e.Manager.Activate(context.Background(), e.VolumeGroup, []string{first, second}); err != nil {
		t.Fatal(err)
	}
	if lv, _ := e.logicalVolume(t, first); !lv.Active {
		t.Errorf("volume %+v, want it active", lv)
	}
	device, err := os.Open(e.Manager.DevicePath(e.VolumeGroup, first))
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if size, err := device.Seek(0, io.SeekEnd); err != nil || size != request.SizeBytes {
		t.Errorf("the device has %d bytes (%v), want %d", size, err, request.SizeBytes)
	}
	err = e.Manager.Activate(context.Background(), e.VolumeGroup, []string{foreign})
	wantError(t, err, lvm.ErrNotFound)
}
