package lvmtest

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Environment is a manager with one empty volume group, and what an operator could do to it beside the manager.
type Environment struct {
	Manager lvm.Manager
	// VolumeGroup has no LVs, and as many physical volumes as were asked for: two of equal size, 62 extents or more each,
	// the others of 30 or more.
	VolumeGroup string

	// MakeLogicalVolume makes an LV of one extent with the tags given and no others.
	MakeLogicalVolume func(t *testing.T, name string, tags ...string)
	// Hold opens an LV's device until release is called.
	Hold func(t *testing.T, name string) (release func())
	// Deactivate takes an LV's device away.
	Deactivate func(t *testing.T, name string)
	// Close closes a physical volume to new extents.
	Close func(t *testing.T, physicalVolume string)
	// Grow adds a third physical volume to two.
	Grow func(t *testing.T)
	// Disk is an empty disk outside of the volume group, in place of the one that Grow takes.
	Disk func(t *testing.T) string
	// RemoveVolumeGroup removes an empty volume group.
	RemoveVolumeGroup func(t *testing.T, name string)
}

// Factory makes an environment with a fresh volume group of so many physical volumes.
type Factory func(t *testing.T, physicalVolumes int) *Environment

// volumeGroup is the volume group as it is now.
func (e *Environment) volumeGroup(t *testing.T) lvm.VolumeGroup {
	t.Helper()
	report, err := e.Manager.Report(context.Background(), []string{e.VolumeGroup})
	if err != nil {
		t.Fatal(err)
	}
	vg, ok := report.VolumeGroups[e.VolumeGroup]
	if !ok {
		t.Fatalf("volume group %s is not in the report", e.VolumeGroup)
	}
	return vg
}

// logicalVolume is an LV as it is now.
func (e *Environment) logicalVolume(t *testing.T, name string) (lvm.LogicalVolume, bool) {
	t.Helper()
	vg := e.volumeGroup(t)
	return vg.LogicalVolume(name)
}

// request asks for an LV of so many extents anywhere in the volume group.
func (e *Environment) request(t *testing.T, name string, extents int64) lvm.CreateRequest {
	t.Helper()
	vg := e.volumeGroup(t)
	request := lvm.CreateRequest{VolumeGroup: vg.Name, Name: name, SizeBytes: extents * vg.ExtentSizeBytes}
	for _, pv := range vg.PhysicalVolumes {
		request.PhysicalVolumes = append(request.PhysicalVolumes, pv.Name)
	}
	return request
}

// create makes such an LV.
func (e *Environment) create(t *testing.T, name string, extents int64) lvm.CreateRequest {
	t.Helper()
	request := e.request(t, name, extents)
	if err := e.Manager.Create(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	return request
}

// extend turns a create request into one for another size.
func extend(request lvm.CreateRequest, sizeBytes int64) lvm.ExtendRequest {
	return lvm.ExtendRequest{VolumeGroup: request.VolumeGroup, Name: request.Name, Layout: request.Layout, SizeBytes: sizeBytes,
		PhysicalVolumes: request.PhysicalVolumes}
}

// write puts text at the beginning of an LV.
func (e *Environment) write(t *testing.T, name, text string) {
	t.Helper()
	device, err := os.OpenFile(e.Manager.DevicePath(e.VolumeGroup, name), os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := device.WriteString(text); err != nil {
		t.Error(err)
	}
	if err := device.Close(); err != nil {
		t.Error(err)
	}
}

// wantBytes compares the beginning of an LV with text, and the size of its device.
func (e *Environment) wantBytes(t *testing.T, name, text string, sizeBytes int64) {
	t.Helper()
	device, err := os.Open(e.Manager.DevicePath(e.VolumeGroup, name))
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	got := make([]byte, len(text))
	if _, err := device.ReadAt(got, 0); err != nil || string(got) != text {
		t.Errorf("%s begins with %q (%v), want %q", name, got, err, text)
	}
	if size, err := device.Seek(0, io.SeekEnd); err != nil || size != sizeBytes {
		t.Errorf("the device of %s has %d bytes (%v), want %d", name, size, err, sizeBytes)
	}
}
