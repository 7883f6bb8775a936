package agent

import (
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// TestReserve takes one volume group through sightings of its free bytes.
func TestReserve(t *testing.T) {
	r := &reserves{known: map[string]*reserve{}}
	at := time.Now()
	see := func(uuid string, free int64) {
		at = at.Add(time.Second)
		r.observe(sighting{groups: map[string]observation{"vg0": {found: true, vg: lvm.VolumeGroup{UUID: uuid, FreeBytes: free}, at: at}}})
	}
	left := func(configured int64) int64 {
		return r.apply(Config{VolumeGroups: []VolumeGroupConfig{{Name: "vg0", GrowthReserveBytes: configured}}}).VolumeGroups[0].GrowthReserveBytes
	}
	want := func(what string, bytes int64) {
		t.Helper()
		if got := left(10); got != bytes {
			t.Errorf("%s: %d bytes left, want %d", what, got, bytes)
		}
	}
	see("a", 100)
	want("at first", 10)
	r.known["vg0"].usedBytes, r.known["vg0"].freeBytes = 8, 92 // growth took 8
	want("after growth", 2)
	see("a", 50)
	want("volumes were made", 2)
	see("a", 53)
	want("3 bytes came free", 5)
	if got := left(20); got != 15 {
		t.Errorf("with 10 bytes more: %d left, want 15", got)
	}
	if got := left(3); got != 0 {
		t.Errorf("with less than is used: %d left, want 0", got)
	}
	r.observe(sighting{groups: map[string]observation{"vg0": {found: true, vg: lvm.VolumeGroup{UUID: "a", FreeBytes: 99}, at: at.Add(-time.Hour)}}})
	want("an older sighting", 5)
	see("a", 90)
	want("much came free", 10)
	r.known["vg0"].usedBytes = 4
	see("b", 90)
	want("another volume group of the name", 10)
}

func TestGrowthSpace(t *testing.T) {
	vg := lvm.VolumeGroup{ExtentSizeBytes: 1, PhysicalVolumes: []lvm.PhysicalVolume{
		{Name: "a", FreeBytes: 60, Allocatable: true}, {Name: "b", FreeBytes: 40, Allocatable: true}, {Name: "closed", FreeBytes: 99},
	}}
	for _, test := range []struct{ spare, reserve, want int64 }{
		{10, 20, 20},
		{90, 20, 10},
		{100, 20, 0},
		{200, 20, 0},
		{0, 500, 100},
		{0, 0, 0},
	} {
		c := VolumeGroupConfig{SpareBytes: test.spare, GrowthReserveBytes: test.reserve}
		if got := growthSpace(vg, c).FreeBytes(); got != test.want {
			t.Errorf("spare %d, reserve %d: %d bytes for growth, want %d", test.spare, test.reserve, got, test.want)
		}
	}
}
