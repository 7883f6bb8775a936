package lvmtest

import (
	"context"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// layouts are those with legs, with as few as there can be.
var layouts = []lvm.Layout{
	{Type: lvm.LayoutStriped, Stripes: 2, StripeSizeBytes: 128 << 10},
	{Type: lvm.LayoutRAID1, Mirrors: 2},
	{Type: lvm.LayoutRAID5, Stripes: 2},
	{Type: lvm.LayoutRAID6, Stripes: 3},
	{Type: lvm.LayoutRAID10, Stripes: 2, Mirrors: 2},
}

// placed asks for a volume of a layout where Place wants it.
func (e *Environment) placed(t *testing.T, layout lvm.Layout, extents int64) (lvm.CreateRequest, lvm.VolumeGroup) {
	t.Helper()
	vg := e.volumeGroup(t)
	placement, err := vg.Space(0).Place(lvm.Request{SizeBytes: extents * vg.ExtentSizeBytes, Layout: layout})
	if err != nil {
		t.Fatal(err)
	}
	return lvm.CreateRequest{VolumeGroup: vg.Name, Name: first, Layout: layout, SizeBytes: placement.SizeBytes,
		Tags: []string{"berth.dev/fs=ext4"}, PhysicalVolumes: placement.PhysicalVolumes}, vg
}

func legsApart(t *testing.T, e *Environment, layout lvm.Layout) {
	request, before := e.placed(t, layout, 7)
	if err := e.Manager.Create(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	made := e.wantMade(t, before, request)
	if tags := lvm.ParseTags(made.Tags); !tags.Owned || tags.FSType != "ext4" || !made.Active {
		t.Errorf("volume %+v, want it tagged and active", made)
	}
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrExists)
	e.write(t, first, "kept")

	// The next volume goes elsewhere; the legs stay.
	now := e.volumeGroup(t)
	growth, err := now.Space(0).PlaceGrowth(lvm.Request{SizeBytes: 2 * made.SizeBytes, IncludedBytes: made.SizeBytes, Layout: layout}, made)
	if err != nil {
		t.Fatal(err)
	}
	wrong := extend(request, growth.SizeBytes)
	wrong.Layout = lvm.Layout{}
	wantError(t, e.Manager.Extend(context.Background(), wrong), lvm.ErrInvalidLayout)
	e.wantUnchanged(t, now)
	request.SizeBytes, request.PhysicalVolumes = growth.SizeBytes, growth.PhysicalVolumes
	if err := e.Manager.Extend(context.Background(), extend(request, growth.SizeBytes)); err != nil {
		t.Fatal(err)
	}
	if grown := e.wantMade(t, before, request); !slices.EqualFunc(grown.Legs, made.Legs, slices.Equal[[]string]) {
		t.Errorf("legs %v, want %v as before", grown.Legs, made.Legs)
	}
	e.wantBytes(t, first, "kept", growth.SizeBytes)

	if err := e.Manager.Remove(context.Background(), e.VolumeGroup, first); err != nil {
		t.Fatal(err)
	}
	if after := e.volumeGroup(t); after.FreeBytes != before.FreeBytes || len(after.LogicalVolumes) > 0 {
		t.Errorf("volume group %+v, want it empty again", after)
	}
}

// wantMade finds the first LV as asked for in a volume group that was empty before: its legs apart on the physical volumes
// given, which are short of what the arithmetic says and no others of anything.
func (e *Environment) wantMade(t *testing.T, before lvm.VolumeGroup, request lvm.CreateRequest) lvm.LogicalVolume {
	t.Helper()
	after := e.volumeGroup(t)
	lv, ok := after.LogicalVolume(first)
	if !ok || lv.Type != request.Layout.Type || lv.SizeBytes != request.SizeBytes || !lv.Made(request.Layout, request.SizeBytes) {
		t.Errorf("volume %+v (found: %t), want %+v with its legs apart", lv, ok, request)
	}
	taken := before.Space(0).TakenBytes(lvm.Request{SizeBytes: request.SizeBytes, Layout: request.Layout}) / int64(request.Layout.Legs())
	for i, pv := range after.PhysicalVolumes {
		want := int64(0)
		if slices.Contains(request.PhysicalVolumes, pv.Name) {
			want = taken
		}
		if took := before.PhysicalVolumes[i].FreeBytes - pv.FreeBytes; took != want {
			t.Errorf("%d bytes taken from %s, want %d", took, pv.Name, want)
		}
	}
	for _, leg := range lv.Legs {
		if !slices.Contains(request.PhysicalVolumes, leg[0]) {
			t.Errorf("a leg lies on %s, want it on one of %v", leg[0], request.PhysicalVolumes)
		}
	}
	return lv
}

func legLacksRoom(t *testing.T, e *Environment, layout lvm.Layout) {
	request, before := e.placed(t, layout, 12)
	few := request
	few.PhysicalVolumes = request.PhysicalVolumes[1:]
	wantError(t, e.Manager.Create(context.Background(), few), lvm.ErrNoSpace)
	e.wantUnchanged(t, before)

	// Two extents are left on one of them.
	filler := e.request(t, second, before.PhysicalVolumes[0].FreeBytes/before.ExtentSizeBytes-2)
	filler.PhysicalVolumes = filler.PhysicalVolumes[:1]
	if err := e.Manager.Create(context.Background(), filler); err != nil {
		t.Fatal(err)
	}
	before = e.volumeGroup(t)
	wantError(t, e.Manager.Create(context.Background(), request), lvm.ErrNoSpace)
	if after := e.volumeGroup(t); after.FreeBytes != before.FreeBytes || len(after.LogicalVolumes) != 1 {
		t.Errorf("volume group %+v, want nothing left of the volume", after)
	}
}
