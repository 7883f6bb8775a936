package lvmtest

import (
	"context"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Environment is a manager with one empty volume group, and what an operator could do to it beside the manager.
type Environment struct {
	Manager lvm.Manager
	// VolumeGroup has two physical volumes of equal size, 64 extents or more each, and no LVs.
	VolumeGroup string

	// MakeLogicalVolume makes an LV of one extent with the tags given and no others.
	MakeLogicalVolume func(t *testing.T, name string, tags ...string)
	// Hold opens an LV's device until release is called.
	Hold func(t *testing.T, name string) (release func())
	// Deactivate takes an LV's device away.
	Deactivate func(t *testing.T, name string)
	// Close closes a physical volume to new extents.
	Close func(t *testing.T, physicalVolume string)
	// Grow adds a third physical volume.
	Grow func(t *testing.T)
	// Disk is an empty disk outside of the volume group, in place of the one that Grow takes.
	Disk func(t *testing.T) string
	// RemoveVolumeGroup removes an empty volume group.
	RemoveVolumeGroup func(t *testing.T, name string)
}

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
	return lvm.ExtendRequest{VolumeGroup: request.VolumeGroup, Name: request.Name, SizeBytes: sizeBytes,
		PhysicalVolumes: request.PhysicalVolumes}
}
