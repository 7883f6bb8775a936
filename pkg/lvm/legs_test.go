package lvm_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// on are legs of one physical volume each.
func on(devices ...string) [][]string {
	var legs [][]string
	for _, device := range devices {
		legs = append(legs, []string{device})
	}
	return legs
}

func TestMade(t *testing.T) {
	for _, c := range []struct {
		name   string
		lv     lvm.LogicalVolume
		layout lvm.Layout
		want   bool
	}{
		{name: "linear", lv: lvm.LogicalVolume{SizeBytes: 4}, want: true},
		{name: "legs apart", lv: lvm.LogicalVolume{SizeBytes: 4, Legs: on("a", "b")}, layout: raid1, want: true},
		{name: "too small", lv: lvm.LogicalVolume{SizeBytes: 3, Legs: on("a", "b", "c")}, layout: raid5},
		{name: "too few legs", lv: lvm.LogicalVolume{SizeBytes: 4, Legs: on("a", "b")}, layout: raid5},
		{name: "two legs on one", lv: lvm.LogicalVolume{SizeBytes: 4, Legs: on("a", "b", "a")}, layout: raid5},
		{name: "a leg on two", lv: lvm.LogicalVolume{SizeBytes: 4, Legs: [][]string{{"a", "b"}, {"c"}}}, layout: raid1},
		{name: "a leg that nothing is known of", lv: lvm.LogicalVolume{SizeBytes: 4, Legs: [][]string{nil, {"c"}}}, layout: raid1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.lv.Made(c.layout, 4); got != c.want {
				t.Errorf("made: %t, want %t", got, c.want)
			}
		})
	}
}

func TestPlaceGrowth(t *testing.T) {
	for _, c := range []struct {
		name    string
		layout  lvm.Layout
		legs    [][]string
		held    int64
		free    []int64
		from    int64
		to      int64
		want    []string
		wantErr error
	}{
		{name: "linear goes anywhere", free: []int64{2, 9}, from: 3, to: 8, want: []string{"b"}},
		{name: "legs stay", layout: raid1, legs: on("b", "c"), free: []int64{9, 5, 5}, from: 3, to: 8, want: []string{"b", "c"}},
		{name: "of each its share", layout: raid5, legs: on("a", "c", "b"), free: []int64{2, 2, 2, 0}, from: 4, to: 8, want: []string{"a", "c", "b"}},
		{name: "one has too little", layout: raid1, legs: on("a", "b"), free: []int64{9, 4, 9}, from: 3, to: 8, wantErr: lvm.ErrNoSpace},
		{name: "one is closed", layout: raid1, legs: on("a", "z"), free: []int64{9, 9}, from: 3, to: 4, wantErr: lvm.ErrNoSpace},
		{name: "too much is held", layout: raid1, legs: on("a", "b"), held: 1, free: []int64{5, 5}, from: 3, to: 8, wantErr: lvm.ErrNoSpace},
		{name: "legs that are not apart", layout: raid1, legs: on("a", "a"), free: []int64{5, 5}, from: 3, to: 4, wantErr: lvm.ErrInvalidLayout},
		{name: "another layout", layout: raid5, legs: on("a", "b"), free: []int64{5, 5}, from: 4, to: 6, wantErr: lvm.ErrInvalidLayout},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := lvm.Request{SizeBytes: c.to * extent, IncludedBytes: c.from * extent, Layout: c.layout}
			got, err := space(c.held, c.free...).PlaceGrowth(request, lvm.LogicalVolume{SizeBytes: c.from * extent, Legs: c.legs})
			if !errors.Is(err, c.wantErr) {
				t.Fatalf("error %v, want %v", err, c.wantErr)
			}
			if err == nil && (!slices.Equal(got.PhysicalVolumes, c.want) || got.SizeBytes != c.to*extent) {
				t.Errorf("placed %+v, want %d extents on %v", got, c.to, c.want)
			}
		})
	}
}
