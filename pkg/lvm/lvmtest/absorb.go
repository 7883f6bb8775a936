package lvmtest

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// absorb has the first LV absorb the donor that has this UUID.
func (e *Environment) absorb(donor, uuid string) (lvm.Report, error) {
	return e.Manager.Absorb(context.Background(), lvm.AbsorbRequest{VolumeGroup: e.VolumeGroup, Name: first, Donor: donor, DonorUUID: uuid})
}

func absorbs(t *testing.T, e *Environment) {
	e.create(t, first, 2)
	request := e.request(t, lvm.GrowName(first), 0)
	before := e.volumeGroup(t)
	// More than one physical volume holds, so that it lies on both.
	request.SizeBytes = before.PhysicalVolumes[0].SizeBytes + before.ExtentSizeBytes
	request.Tags = []string{lvm.TagGrow}
	if err := e.Manager.Create(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	made := e.volumeGroup(t)
	donor, _ := made.LogicalVolume(request.Name)
	if volume, ok := donor.Grows(); !ok || volume != first {
		t.Errorf("donor %+v grows %q, want %s", donor, volume, first)
	}
	release := e.Hold(t, first) // a pod has it open
	defer release()
	report, err := e.absorb(donor.Name, donor.UUID)
	if err != nil {
		t.Fatal(err)
	}
	after := report.VolumeGroups[e.VolumeGroup]
	lv, _ := after.LogicalVolume(first)
	want := 2*before.ExtentSizeBytes + request.SizeBytes
	if _, left := after.LogicalVolume(donor.Name); left || lv.SizeBytes != want {
		t.Errorf("donor left: %t, volume of %d bytes; want %d and no donor", left, lv.SizeBytes, want)
	}
	for i, pv := range after.PhysicalVolumes {
		if pv.FreeBytes != made.PhysicalVolumes[i].FreeBytes {
			t.Errorf("%s has %d bytes free, had %d with the donor", pv.Name, pv.FreeBytes, made.PhysicalVolumes[i].FreeBytes)
		}
	}
	if live := e.volumeGroup(t); live.Seqno != after.Seqno || live.Seqno <= made.Seqno {
		t.Errorf("absorb returned seqno %d after %d, it is %d", after.Seqno, made.Seqno, live.Seqno)
	}
	device, err := os.Open(e.Manager.DevicePath(e.VolumeGroup, first))
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if size, err := device.Seek(0, io.SeekEnd); err != nil || size != want {
		t.Errorf("the device has %d bytes (%v), want %d", size, err, want)
	}
}

func absorbRefused(t *testing.T, e *Environment) {
	e.create(t, first, 1)
	e.create(t, second, 1)
	e.MakeLogicalVolume(t, foreign)
	before := e.volumeGroup(t)
	donor, _ := before.LogicalVolume(second)
	strange, _ := before.LogicalVolume(foreign)

	_, err := e.absorb(second, strange.UUID)
	wantError(t, err, lvm.ErrNotFound)
	_, err = e.absorb("no-such-volume", donor.UUID)
	wantError(t, err, lvm.ErrNotFound)
	_, err = e.absorb(foreign, strange.UUID)
	wantError(t, err, lvm.ErrForeign)
	release := e.Hold(t, second)
	_, err = e.absorb(second, donor.UUID)
	wantError(t, err, lvm.ErrInUse)
	release()
	for request, want := range map[lvm.AbsorbRequest]error{
		{VolumeGroup: e.VolumeGroup, Name: foreign, Donor: second, DonorUUID: donor.UUID}:          lvm.ErrForeign,
		{VolumeGroup: e.VolumeGroup, Name: "no-such-volume", Donor: second, DonorUUID: donor.UUID}: lvm.ErrNotFound,
		{VolumeGroup: "no-such-group", Name: first, Donor: second, DonorUUID: donor.UUID}:          lvm.ErrNotFound,
	} {
		if _, err := e.Manager.Absorb(context.Background(), request); !errors.Is(err, want) {
			t.Errorf("%+v: error %v, want %v", request, err, want)
		}
	}
	e.wantUnchanged(t, before)
}
