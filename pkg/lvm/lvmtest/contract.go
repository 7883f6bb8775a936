package lvmtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Volume IDs as the driver makes them; the hyphens matter to device-mapper.
const (
	first   = "pvc-00000000-0000-4000-8000-000000000001"
	second  = "pvc-00000000-0000-4000-8000-000000000002"
	foreign = "pvc-00000000-0000-4000-8000-00000000000f"
)

// Run runs the contract, each case in an environment of its own.
func Run(t *testing.T, newEnvironment Factory) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *Environment)
	}{
		{"a report counts every extent", reportCounts},
		{"a volume group that is not there is not in the report", reportMissing},
		{"a created volume is tagged, active and where it was asked for", createPlaces},
		{"the volume group's last extent can be had, and no more", createExactFit},
		{"a volume spans physical volumes", createSpans},
		{"nothing is taken from physical volumes that were not named", createOnlyNamed},
		{"a closed physical volume gives nothing", createClosed},
		{"creating twice or in no volume group is refused", createRefused},
		{"finish adds the ready tag once", finishTags},
		{"finish refuses what is not ours or not there", finishRefused},
		{"a volume grows and never shrinks", extendGrows},
		{"extend refuses without room, and what is not ours or not there", extendRefused},
		{"a volume absorbs another one, wherever that lies", absorbs},
		{"absorb refuses what is not the donor, in use or not ours", absorbRefused},
		{"remove gives the extents back, and again is no error", removeTwice},
		{"remove never touches what does not carry the exact tag", removeForeign},
		{"an open volume is not removed", removeOpen},
		{"remove without the volume group is an error", removeWithoutVolumeGroup},
		{"an inactive volume is activated", activates},
		{"a grown volume group stays whole", grown},
		{"volumes are made and removed side by side", concurrent},
		{"a volume group is made of a disk, once", groupMade},
		{"a volume group is extended by a disk, once", groupExtended},
		{"an LV that an operator gave away is adopted as it is", adopts},
		{"adopt refuses what nobody gave away", adoptRefused},
		{"tags are added once", tags},
		{"tag refuses what is not ours or not there", tagRefused},
		{"a thin pool is made, and never removed", poolMade},
		{"a thin pool grows and never shrinks", poolGrows},
		{"a thin volume takes bytes of its pool alone", thinVolume},
		{"a thin snapshot outlives its origin", thinSnapshot},
		{"a thick snapshot keeps its origin from being removed or extended", thickSnapshot},
		{"snapshots are refused", snapshotRefused},
		{"nothing absorbs but linear volumes", absorbNotLinear},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newEnvironment(t, 2)) })
	}
	for _, layout := range layouts {
		t.Run(string(layout.Type)+" has its legs apart, grown too", func(t *testing.T) { legsApart(t, newEnvironment(t, layout.Legs()+1), layout) })
		t.Run(string(layout.Type)+" leaves nothing where a leg lacks room", func(t *testing.T) { legLacksRoom(t, newEnvironment(t, layout.Legs()), layout) })
	}
}

func reportCounts(t *testing.T, e *Environment) {
	e.create(t, first, 3)
	vg := e.volumeGroup(t)
	var size, free int64
	for _, pv := range vg.PhysicalVolumes {
		size += pv.SizeBytes
		free += pv.FreeBytes
		if !pv.Allocatable || pv.Missing {
			t.Errorf("physical volume %+v: want it open and present", pv)
		}
	}
	if len(vg.PhysicalVolumes) != 2 || vg.SizeBytes != size || vg.FreeBytes != free ||
		vg.SizeBytes-vg.FreeBytes != 3*vg.ExtentSizeBytes {
		t.Errorf("volume group %+v: want 2 physical volumes, and 3 extents less free than there are", vg)
	}
	if vg.UUID == "" || vg.Seqno == 0 || vg.MetadataFreeBytes == 0 || vg.Unusable() != "" {
		t.Errorf("volume group %+v: want UUID, seqno, metadata bytes and no refusal", vg)
	}
}

func reportMissing(t *testing.T, e *Environment) {
	report, err := e.Manager.Report(context.Background(), []string{e.VolumeGroup, "no-such-group"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := report.VolumeGroups["no-such-group"]; ok || len(report.VolumeGroups) != 1 {
		t.Errorf("report %+v: want %s alone", report, e.VolumeGroup)
	}
}

func finishTags(t *testing.T, e *Environment) {
	request := e.request(t, first, 1)
	request.Tags = []string{"berth.dev/claim=default/data-db-0"}
	if err := e.Manager.Create(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		report, err := e.Manager.Finish(context.Background(), e.VolumeGroup, first)
		if err != nil {
			t.Fatal(err)
		}
		vg := report.VolumeGroups[e.VolumeGroup]
		lv, _ := vg.LogicalVolume(first)
		want := []string{lvm.TagOwned, "berth.dev/claim=default/data-db-0", lvm.TagReady}
		if slices.Sort(lv.Tags); !slices.Equal(lv.Tags, want) {
			t.Errorf("tags %v, want %v", lv.Tags, want)
		}
		if live := e.volumeGroup(t); live.Seqno != vg.Seqno {
			t.Errorf("finish returned seqno %d, it is %d", vg.Seqno, live.Seqno)
		}
	}
}

func finishRefused(t *testing.T, e *Environment) {
	e.MakeLogicalVolume(t, foreign, "berth.devel")
	_, err := e.Manager.Finish(context.Background(), e.VolumeGroup, foreign)
	wantError(t, err, lvm.ErrForeign)
	if lv, _ := e.logicalVolume(t, foreign); slices.Contains(lv.Tags, lvm.TagReady) {
		t.Errorf("the foreign volume got tags %v", lv.Tags)
	}
	_, err = e.Manager.Finish(context.Background(), e.VolumeGroup, first)
	wantError(t, err, lvm.ErrNotFound)
	_, err = e.Manager.Finish(context.Background(), "no-such-group", first)
	wantError(t, err, lvm.ErrNotFound)
}

func extendGrows(t *testing.T, e *Environment) {
	request := e.create(t, first, 2)
	extent := request.SizeBytes / 2
	for _, step := range []struct{ ask, want int64 }{
		{5 * extent, 5 * extent},
		{5 * extent, 5 * extent},
		{3 * extent, 5 * extent},   // never smaller
		{5*extent + 1, 6 * extent}, // whole extents
	} {
		if err := e.Manager.Extend(context.Background(), extend(request, step.ask)); err != nil {
			t.Fatal(err)
		}
		if lv, _ := e.logicalVolume(t, first); lv.SizeBytes != step.want {
			t.Errorf("extended to %d: %d bytes, want %d", step.ask, lv.SizeBytes, step.want)
		}
	}
}

func extendRefused(t *testing.T, e *Environment) {
	request := e.create(t, first, 1)
	before := e.volumeGroup(t)
	err := e.Manager.Extend(context.Background(), extend(request, before.SizeBytes+1))
	wantError(t, err, lvm.ErrNoSpace)
	e.wantUnchanged(t, before)

	e.MakeLogicalVolume(t, foreign)
	before = e.volumeGroup(t)
	request.Name = foreign
	wantError(t, e.Manager.Extend(context.Background(), extend(request, 2*request.SizeBytes)), lvm.ErrForeign)
	request.Name = second
	wantError(t, e.Manager.Extend(context.Background(), extend(request, 2*request.SizeBytes)), lvm.ErrNotFound)
	e.wantUnchanged(t, before)
}

// wantUnchanged fails when the metadata was written since.
func (e *Environment) wantUnchanged(t *testing.T, before lvm.VolumeGroup) {
	t.Helper()
	if now := e.volumeGroup(t); now.Seqno != before.Seqno || now.FreeBytes != before.FreeBytes {
		t.Errorf("seqno %d, %d bytes free; before %d and %d", now.Seqno, now.FreeBytes, before.Seqno, before.FreeBytes)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
