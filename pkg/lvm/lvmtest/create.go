package lvmtest

import (
	"context"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func createPlaces(t *testing.T, e *Environment) {
	before := e.volumeGroup(t)
	request := e.request(t, first, 4)
	request.PhysicalVolumes = []string{before.PhysicalVolumes[1].Name}
	request.Tags = []string{"berth.dev/claim=default/data-db-0", "berth.dev/fs=ext4"}
	if err := e.Manager.Create(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	after := e.volumeGroup(t)
	lv, ok := after.LogicalVolume(first)
	if !ok || lv.SizeBytes != request.SizeBytes || !lv.Active || lv.Open || lv.UUID == "" {
		t.Errorf("volume %+v (found: %t), want %d bytes, active, not open", lv, ok, request.SizeBytes)
	}
	if tags := lvm.ParseTags(lv.Tags); !tags.Owned || tags.Ready || tags.ClaimName != "data-db-0" || tags.FSType != "ext4" {
		t.Errorf("tags %v", lv.Tags)
	}
	for i, want := range []int64{0, request.SizeBytes} {
		if taken := before.PhysicalVolumes[i].FreeBytes - after.PhysicalVolumes[i].FreeBytes; taken != want {
			t.Errorf("%d bytes taken from physical volume %d, want %d", taken, i, want)
		}
	}
	if after.Seqno <= before.Seqno {
		t.Errorf("seqno %d after %d, want it to grow", after.Seqno, before.Seqno)
	}
}

func createExactFit(t *testing.T, e *Environment) {
	vg := e.volumeGroup(t)
	extents := vg.FreeBytes / vg.ExtentSizeBytes
	wantError(t, e.Manager.Create(context.Background(), e.request(t, first, extents+1)), lvm.ErrNoSpace)
	e.wantUnchanged(t, vg)
	e.create(t, first, extents)
	if full := e.volumeGroup(t); full.FreeBytes != 0 {
		t.Errorf("%d bytes free, want 0", full.FreeBytes)
	}
	wantError(t, e.Manager.Create(context.Background(), e.request(t, second, 1)), lvm.ErrNoSpace)
}

func createSpans(t *testing.T, e *Environment) {
	vg := e.volumeGroup(t)
	onePV := vg.PhysicalVolumes[0].FreeBytes / vg.ExtentSizeBytes
	e.create(t, first, onePV+1)
	after := e.volumeGroup(t)
	if used := vg.FreeBytes - after.FreeBytes; used != (onePV+1)*vg.ExtentSizeBytes {
		t.Errorf("%d bytes used, want %d extents", used, onePV+1)
	}
}

func createOnlyNamed(t *testing.T, e *Environment) {
	vg := e.volumeGroup(t)
	onePV := vg.PhysicalVolumes[0].FreeBytes / vg.ExtentSizeBytes
	request := e.request(t, first, onePV+1)
	request.PhysicalVolumes = request.PhysicalVolumes[:1]
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrNoSpace)
	request.PhysicalVolumes = []string{"/dev/no-such-device"}
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrNoSpace)
	request.PhysicalVolumes = nil
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrNoSpace)
	e.wantUnchanged(t, vg)
}

func createClosed(t *testing.T, e *Environment) {
	vg := e.volumeGroup(t)
	e.Close(t, vg.PhysicalVolumes[0].Name)
	if closed := e.volumeGroup(t); closed.PhysicalVolumes[0].Allocatable || !closed.PhysicalVolumes[1].Allocatable {
		t.Errorf("physical volumes %+v, want the first one closed", closed.PhysicalVolumes)
	}
	request := e.request(t, first, 1)
	request.PhysicalVolumes = request.PhysicalVolumes[:1]
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrNoSpace)
}

func createRefused(t *testing.T, e *Environment) {
	request := e.create(t, first, 1)
	before := e.volumeGroup(t)
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrExists)
	empty := request
	empty.Name, empty.SizeBytes = second, 0
	wantError(t, e.Manager.Create(context.Background(), empty), lvm.ErrInvalidSize)
	e.wantUnchanged(t, before)
	request.VolumeGroup = "no-such-group"
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrNotFound)
}

func grown(t *testing.T, e *Environment) {
	e.create(t, first, 1)
	request := e.create(t, second, 1)
	e.Grow(t)
	// Each comes upon a physical volume that no earlier report showed.
	if err := e.Manager.Remove(context.Background(), e.VolumeGroup, first); err != nil {
		t.Error(err)
	}
	vg := e.volumeGroup(t)
	if len(vg.PhysicalVolumes) != 3 || vg.Unusable() != "" {
		t.Errorf("volume group %+v: want three physical volumes, none missing", vg)
	}
	if _, err := e.Manager.Finish(context.Background(), e.VolumeGroup, second); err != nil {
		t.Error(err)
	}
	request.Name = first
	request.PhysicalVolumes = []string{vg.PhysicalVolumes[2].Name}
	if err := e.Manager.Create(context.Background(), request); err != nil {
		t.Error(err)
	}
}

func concurrent(t *testing.T, e *Environment) {
	names := []string{first, second, foreign}
	before := e.volumeGroup(t)
	each := func(do func(name string) error) {
		t.Helper()
		errs := make(chan error)
		for _, name := range names {
			go func() { errs <- do(name) }()
		}
		for range names {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
	request := e.request(t, "", 2)
	each(func(name string) error {
		mine := request
		mine.Name = name
		mine.PhysicalVolumes = slices.Clone(request.PhysicalVolumes)
		return e.Manager.Create(context.Background(), mine)
	})
	if made := e.volumeGroup(t); len(made.LogicalVolumes) != len(names) ||
		before.FreeBytes-made.FreeBytes != 6*before.ExtentSizeBytes {
		t.Errorf("volume group %+v: want 3 volumes of 2 extents", made)
	}
	each(func(name string) error { return e.Manager.Remove(context.Background(), e.VolumeGroup, name) })
	if empty := e.volumeGroup(t); empty.FreeBytes != before.FreeBytes {
		t.Errorf("%d bytes free, want %d as before", empty.FreeBytes, before.FreeBytes)
	}
}
