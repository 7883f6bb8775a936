package lvm_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func TestFit(t *testing.T) {
	small := lvm.Request{SizeBytes: 1}
	for _, c := range []struct {
		name     string
		space    *lvm.Space
		promised []lvm.Request
		requests []lvm.Request
		// wantFree is in extents.
		wantFree int64
		wantErr  error
		// wantLegs: it is not the bytes that are short.
		wantLegs bool
	}{
		{name: "nothing asked", space: space(0, 10), wantFree: 10},
		// 6 + 4 + 5 + 4 = 19 fill all.
		{name: "jointly exact", space: space(0, 4, 6, 9), requests: of(linear, 6, 4, 5, 4)},
		// There is no 20th.
		{name: "jointly one byte too much", space: space(0, 4, 6, 9), requests: append(of(linear, 6, 4, 9), small), wantErr: lvm.ErrNoSpace},
		// 1 takes a whole extent twice: 2 of 2.
		{name: "each volume is rounded by itself", space: space(0, 2), requests: []lvm.Request{small, small, small}, wantErr: lvm.ErrNoSpace},
		{name: "promised ones count", space: space(0, 10), promised: of(linear, 4), requests: of(linear, 6)},
		{name: "promised ones count, one byte more", space: space(0, 10), promised: of(linear, 4), requests: append(of(linear, 6), small), wantErr: lvm.ErrNoSpace},
		{name: "more is promised than is there", space: space(0, 10), promised: of(linear, 11), requests: []lvm.Request{small}, wantErr: lvm.ErrNoSpace},
		{name: "of a promised size that can never be nothing is left", space: space(0, 10), promised: []lvm.Request{{SizeBytes: math.MaxInt64}},
			requests: []lvm.Request{small}, wantErr: lvm.ErrNoSpace},
		{name: "of a promised layout that is not known nothing is left", space: space(0, 10), promised: of(lvm.Layout{Type: "raid7"}, 1),
			requests: []lvm.Request{small}, wantErr: lvm.ErrNoSpace},
		{name: "one without a size", space: space(0, 10), requests: []lvm.Request{small, {}}, wantErr: lvm.ErrInvalidSize},

		// A volume that has 4 of 6 takes 2.
		{name: "growth", space: space(0, 2), requests: []lvm.Request{{SizeBytes: 6 * extent, IncludedBytes: 4 * extent}}},
		// 2 legs of 2.
		{name: "growth of copies has metadata already", space: space(0, 2, 2), requests: []lvm.Request{{SizeBytes: 6 * extent, IncludedBytes: 4 * extent, Layout: raid1}}},
		{name: "it has what it asks", space: space(0, 0), requests: []lvm.Request{{SizeBytes: 4 * extent, IncludedBytes: 4 * extent, Layout: raid1}}},

		// a and b take a leg of 4 + 1 each.
		{name: "copies on two", space: space(0, 5, 5), requests: of(raid1, 4)},
		// 10 are free for 2 × (4 + 1), but a has 9 of them.
		{name: "copies on one", space: space(0, 9, 1), requests: of(raid1, 4), wantErr: lvm.ErrNoSpace, wantLegs: true},
		// Linear first: 5 5. Copies first: 2 0.
		{name: "copies and linear, exact", space: space(0, 7, 5), requests: together(of(raid1, 4), of(linear, 2))},
		// Made first, linear 3 leaves 4 + 7, where two legs of 4 + 1 do not fit.
		{name: "copies and linear that can come first", space: space(0, 7, 7), requests: together(of(raid1, 4), of(linear, 3)), wantErr: lvm.ErrNoSpace, wantLegs: true},
		{name: "the same with linear promised", space: space(0, 7, 7), promised: of(linear, 3), requests: of(raid1, 4), wantErr: lvm.ErrNoSpace, wantLegs: true},
		{name: "the same with copies promised", space: space(0, 7, 7), promised: of(raid1, 4), requests: of(linear, 3), wantErr: lvm.ErrNoSpace, wantLegs: true},
		// Linear 3 made: 4 + 7. No more is promised, and a linear one takes what it finds: 11 of 11.
		{name: "linear asks for no legs", space: space(0, 4, 7), requests: of(linear, 11)},
		// 3 × 2 stripes of 2 on 3 physical volumes of 4: 4 4 4 → 2 2 4 → 2 0 2 → 0 0 0.
		{name: "stripes in turns", space: space(0, 4, 4, 4), requests: of(striped, 4, 4, 4)},
		// Stripes of 3 and of 1: after the small one 4 4 5 hold 3 twice only in turns: 4 5 4 → 2 1 4 … 3 fits once more on none.
		{name: "stripes of two sizes", space: space(0, 5, 5, 4), requests: of(striped, 6, 6, 2), wantErr: lvm.ErrNoSpace, wantLegs: true},
		// An expansion takes its 2 legs of 1 from nobody knows which: all have one less.
		{name: "copies beside a growth elsewhere", space: space(0, 6, 6, 1), promised: []lvm.Request{{SizeBytes: 2 * extent, IncludedBytes: extent, Layout: raid1}}, requests: of(raid1, 4), wantFree: 1},
		{name: "copies that a growth may hinder", space: space(0, 5, 5, 2), promised: []lvm.Request{{SizeBytes: 2 * extent, IncludedBytes: extent, Layout: raid1}},
			requests: of(raid1, 4), wantErr: lvm.ErrNoSpace, wantLegs: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := slices.Clone(c.space.PhysicalVolumes)
			s := c.space.Promise(c.promised)
			left, err := s.Fit(c.requests)
			var shortage *lvm.Shortage
			if !errors.Is(err, c.wantErr) || errors.As(err, &shortage) && shortage.Legs != c.wantLegs {
				t.Fatalf("error %v (%+v), want %v, for legs %t", err, shortage, c.wantErr, c.wantLegs)
			}
			if !slices.Equal(before, c.space.PhysicalVolumes) {
				t.Errorf("the space asked was changed to %v", c.space.PhysicalVolumes)
			}
			if err == nil && left.FreeBytes() != c.wantFree*extent {
				t.Errorf("%d bytes left, want %d extents", left.FreeBytes(), c.wantFree)
			}
		})
	}
}

// Ten unlike volumes of four legs on twelve physical volumes: every order succeeds with 80 and more free on each, which
// takes 11,883 states to see, and with 84 and more, which takes 290.
func TestFitPastTheLimit(t *testing.T) {
	for _, c := range []struct {
		least   int64
		wantErr error
	}{{84, nil}, {80, lvm.ErrNoSpace}} {
		var free []int64
		for i := range int64(12) {
			free = append(free, c.least+i)
		}
		if err := space(0, free...).Check(of(raid10, 20, 24, 26, 30, 32, 36, 38, 42, 44, 48)); !errors.Is(err, c.wantErr) {
			t.Errorf("%d and more free: error %v, want %v", c.least, err, c.wantErr)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	s := space(extent, 100, 100).Promise(of(linear, 1, 2, 3))
	requests := of(linear, 1, 2)
	if n := testing.AllocsPerRun(100, func() {
		if s.Check(requests) != nil {
			t.Fatal("it fits")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestOffersMore(t *testing.T) {
	legs := func(s *lvm.Space) *lvm.Space { s.Legs = true; return s }
	pool := func(change func(*lvm.ThinPool)) *lvm.Space {
		p := lvm.ThinPool{Name: "pool", SizeBytes: 100 * extent, MetadataSizeBytes: extent, VirtualBytes: 10 * extent}
		change(&p)
		return &lvm.Space{ExtentSizeBytes: extent, ThinPools: []lvm.ThinPool{p}}
	}
	same := func(*lvm.ThinPool) {}
	for _, c := range []struct {
		name           string
		space, earlier *lvm.Space
		want           bool
	}{
		{"the same", space(0, 5, 5), space(0, 5, 5), false},
		{"more bytes", space(0, 5, 6), space(0, 5, 5), true},
		{"fewer bytes", space(0, 5, 4), space(0, 5, 5), false},
		{"elsewhere, for linear volumes", space(0, 6, 4), space(0, 5, 5), false},
		{"elsewhere, for legs", legs(space(0, 5, 5)), legs(space(0, 6, 4)), true},
		{"fewer promised, for legs", legs(space(0, 5, 4)), legs(space(0, 5, 5)).Promise(of(linear, 1)), true},
		{"promised in another order", legs(space(0, 9)).Promise(of(linear, 1, 2)), legs(space(0, 9)).Promise(of(linear, 2, 1)), false},
		{"the same pool", pool(same), pool(same), false},
		{"a new pool", pool(same), space(0), true},
		{"fewer virtual bytes", pool(func(p *lvm.ThinPool) { p.VirtualBytes-- }), pool(same), true},
		{"fewer promised ones", pool(same), pool(same).Promise(of(thin, 1)), true},
		{"a larger pool", pool(func(p *lvm.ThinPool) { p.SizeBytes++ }), pool(same), true},
		{"not full any more", pool(same), pool(func(p *lvm.ThinPool) { p.DataUsedBytes = p.SizeBytes }), true},
		{"fuller, within the limit", pool(func(p *lvm.ThinPool) { p.DataUsedBytes = extent }), pool(same), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.space.OffersMore(c.earlier); got != c.want {
				t.Errorf("offers more: %t, want %t", got, c.want)
			}
		})
	}
}

func TestMaximumVolumeBytes(t *testing.T) {
	for _, c := range []struct {
		name   string
		space  *lvm.Space
		layout lvm.Layout
		want   int64
	}{
		{"all physical volumes together", space(0, 3, 4), linear, 7 * extent},
		{"less what is held, in whole extents", space(1, 3, 4), linear, 6 * extent},
		{"nothing free", space(8*extent, 3, 4), linear, 0},
		{"extent size not known", &lvm.Space{}, linear, 0},
		{"unknown layout", space(0, 3, 4), lvm.Layout{Type: "raid4"}, 0},
		{"less an overhead", space(0, 3, 4), lvm.Layout{OverheadBytes: 1}, 7*extent - 1},
		{"more than an int64", &lvm.Space{ExtentSizeBytes: 1, PhysicalVolumes: []lvm.FreeSpace{
			{Name: "a", FreeBytes: math.MaxInt64}, {Name: "b", FreeBytes: 1}}}, linear, math.MaxInt64},
		// The second largest has 4: 2 stripes of it.
		{"stripes", space(0, 3, 9, 4), striped, 8 * extent},
		// 4 - 1 of metadata.
		{"copies", space(0, 3, 9, 4), raid1, 3 * extent},
		// Of 16 extents 10 are held: 2 legs of 3, 1 of them metadata.
		{"copies within what is not held", space(10*extent, 3, 9, 4), raid1, 2 * extent},
		// Promised linear 3 may leave 3 6 4.
		{"stripes besides promised ones", space(0, 3, 9, 4).Promise(of(linear, 3)), striped, 8 * extent},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.space.MaximumVolumeBytes(c.layout)
			if got != c.want {
				t.Errorf("%d bytes, want %d", got, c.want)
			}
			if got > 0 {
				if err := c.space.Check([]lvm.Request{{SizeBytes: got, Layout: c.layout}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestSpaceOfVolumeGroup(t *testing.T) {
	vg := lvm.VolumeGroup{ExtentSizeBytes: extent, PhysicalVolumes: []lvm.PhysicalVolume{
		{Name: "open", FreeBytes: 5 * extent, Allocatable: true},
		{Name: "closed", FreeBytes: 7 * extent},
		{Name: "missing", FreeBytes: 9 * extent, Allocatable: true, Missing: true},
	}}
	s := vg.Space(2 * extent)
	// 5 - 2: closed and missing physical volumes give nothing.
	if s.FreeBytes() != 3*extent {
		t.Errorf("%d bytes free, want 3 extents", s.FreeBytes())
	}
	if placement, err := s.Place(of(linear, 3)[0]); err != nil || !slices.Equal(placement.PhysicalVolumes, []string{"open"}) {
		t.Errorf("placed %v (%v), want it on the open one", placement, err)
	}
}
