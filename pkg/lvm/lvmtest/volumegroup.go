package lvmtest

import (
	"context"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

const (
	madeGroup    = "vg-made"
	noSuchDevice = "/dev/no-such-device"
)

func groupMade(t *testing.T, e *Environment) {
	ctx, disk := context.Background(), e.Disk(t)
	wantError(t, e.Manager.CreateVolumeGroup(ctx, madeGroup, []string{noSuchDevice}), lvm.ErrNotFound)
	wantError(t, e.Manager.CreateVolumeGroup(ctx, e.VolumeGroup, []string{disk}), lvm.ErrExists)
	if err := e.Manager.CreateVolumeGroup(ctx, madeGroup, []string{disk}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.RemoveVolumeGroup(t, madeGroup) })
	report, err := e.Manager.Report(ctx, []string{madeGroup})
	if err != nil {
		t.Fatal(err)
	}
	vg := report.VolumeGroups[madeGroup]
	if len(vg.PhysicalVolumes) != 1 || !slices.Equal(vg.Tags, []string{lvm.TagOwned}) || vg.MetadataFreeBytes < 4<<20 || vg.FreeBytes == 0 {
		t.Errorf("volume group %+v: want one physical volume, Berth's tag and a large metadata area", vg)
	}
	wantError(t, e.Manager.CreateVolumeGroup(ctx, madeGroup, []string{disk}), lvm.ErrExists)
	wantError(t, e.Manager.CreateVolumeGroup(ctx, "vg-other", []string{disk}), lvm.ErrInUse)
	if err := e.Manager.ResizePhysicalVolume(ctx, madeGroup, vg.PhysicalVolumes[0].Name); err != nil {
		t.Errorf("a physical volume as large as its disk: %v", err)
	}
}

func groupExtended(t *testing.T, e *Environment) {
	ctx, disk := context.Background(), e.Disk(t)
	before := e.volumeGroup(t)
	wantError(t, e.Manager.ExtendVolumeGroup(ctx, e.VolumeGroup, []string{noSuchDevice}), lvm.ErrNotFound)
	wantError(t, e.Manager.ExtendVolumeGroup(ctx, "no-such-group", []string{disk}), lvm.ErrNotFound)
	e.wantUnchanged(t, before)
	if err := e.Manager.ExtendVolumeGroup(ctx, e.VolumeGroup, []string{disk}); err != nil {
		t.Fatal(err)
	}
	after := e.volumeGroup(t)
	if len(after.PhysicalVolumes) != 3 || after.FreeBytes <= before.FreeBytes || after.Unusable() != "" {
		t.Errorf("volume group %+v: want three physical volumes, none missing", after)
	}
	wantError(t, e.Manager.ExtendVolumeGroup(ctx, e.VolumeGroup, []string{disk}), lvm.ErrInUse)
}

func adopts(t *testing.T, e *Environment) {
	e.MakeLogicalVolume(t, first, lvm.TagAdopt, "operators-own")
	before, _ := e.logicalVolume(t, first)
	for range 2 {
		report, err := e.Manager.Adopt(context.Background(), e.VolumeGroup, first, "berth.dev/fs=ext4")
		if err != nil {
			t.Fatal(err)
		}
		vg := report.VolumeGroups[e.VolumeGroup]
		lv, _ := vg.LogicalVolume(first)
		want := []string{lvm.TagOwned, "berth.dev/fs=ext4", lvm.TagReady, "operators-own"}
		if slices.Sort(lv.Tags); !slices.Equal(lv.Tags, want) || lv.UUID != before.UUID || lv.SizeBytes != before.SizeBytes {
			t.Errorf("volume %+v, want it as it was with tags %v", lv, want)
		}
	}
}

func adoptRefused(t *testing.T, e *Environment) {
	e.MakeLogicalVolume(t, foreign, "berth.dev/adopted")
	before := e.volumeGroup(t)
	_, err := e.Manager.Adopt(context.Background(), e.VolumeGroup, foreign)
	wantError(t, err, lvm.ErrForeign)
	_, err = e.Manager.Adopt(context.Background(), e.VolumeGroup, first)
	wantError(t, err, lvm.ErrNotFound)
	_, err = e.Manager.Adopt(context.Background(), "no-such-group", first)
	wantError(t, err, lvm.ErrNotFound)
	e.wantUnchanged(t, before)
}
