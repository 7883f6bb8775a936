package lvm_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		name    string
		space   *lvm.Space
		request lvm.Request
		// wantOn has the physical volumes, joined by commas; wantExtents is the volume's size.
		wantOn      string
		wantExtents int64
		wantErr     error
	}{
		{name: "exact fit", space: space(0, 10), request: lvm.Request{SizeBytes: 10 * extent}, wantOn: "a", wantExtents: 10},
		// 10 extents and a byte are 11 extents.
		{name: "one byte more", space: space(0, 10), request: lvm.Request{SizeBytes: 10*extent + 1}, wantErr: lvm.ErrNoSpace},
		// 9 extents and a byte are 10.
		{name: "rounded up to what is there", space: space(0, 10), request: lvm.Request{SizeBytes: 9*extent + 1}, wantOn: "a", wantExtents: 10},
		{name: "one byte takes an extent", space: space(0, 10), request: lvm.Request{SizeBytes: 1}, wantOn: "a", wantExtents: 1},
		{name: "zero bytes", space: space(0, 10), wantErr: lvm.ErrInvalidSize},
		{name: "negative", space: space(0, 10), request: lvm.Request{SizeBytes: -extent}, wantErr: lvm.ErrInvalidSize},
		{name: "rounding overflows", space: space(0, 10), request: lvm.Request{SizeBytes: math.MaxInt64}, wantErr: lvm.ErrInvalidSize},
		{name: "largest multiple", space: space(0, 10), request: lvm.Request{SizeBytes: math.MaxInt64 - extent + 1}, wantErr: lvm.ErrNoSpace},
		{name: "no extent size", space: &lvm.Space{}, request: lvm.Request{SizeBytes: 1}, wantErr: lvm.ErrInvalidSize},
		{name: "no physical volumes", space: space(0), request: lvm.Request{SizeBytes: 1}, wantErr: lvm.ErrNoSpace},
		// 10 - 4 held = 6.
		{name: "held bytes are kept", space: space(4*extent, 10), request: lvm.Request{SizeBytes: 6 * extent}, wantOn: "a", wantExtents: 6},
		{name: "held bytes are not given", space: space(4*extent, 10), request: lvm.Request{SizeBytes: 7 * extent}, wantErr: lvm.ErrNoSpace},
		// 10 extents less a byte hold 9 whole ones.
		{name: "a held byte costs an extent", space: space(1, 10), request: lvm.Request{SizeBytes: 10 * extent}, wantErr: lvm.ErrNoSpace},
		{name: "more held than there is", space: space(11*extent, 10), request: lvm.Request{SizeBytes: 1}, wantErr: lvm.ErrNoSpace},
		{name: "the most free", space: space(0, 4, 6, 9), request: lvm.Request{SizeBytes: 5 * extent}, wantOn: "c", wantExtents: 5},
		// 12 is more than any; c gives 9, b the other 3; a is left alone.
		{name: "the fewest", space: space(0, 4, 6, 9), request: lvm.Request{SizeBytes: 12 * extent}, wantOn: "c,b", wantExtents: 12},
		{name: "all", space: space(0, 4, 6, 9), request: lvm.Request{SizeBytes: 19 * extent}, wantOn: "c,b,a", wantExtents: 19},

		// 9 extents are 10 in 2 stripes of 5.
		{name: "stripes", space: space(0, 4, 6, 5), request: of(striped, 9)[0], wantOn: "b,c", wantExtents: 10},
		// 11 are 12 in 2 stripes of 6; c has 5.
		{name: "stripes, one extent more", space: space(0, 4, 6, 5), request: of(striped, 11)[0], wantErr: lvm.ErrNoSpace},
		// 2 legs of 5 and 1 for metadata.
		{name: "copies", space: space(0, 4, 6, 6), request: of(raid1, 5)[0], wantOn: "b,c", wantExtents: 5},
		{name: "copies without room for metadata", space: space(0, 4, 6, 5), request: of(raid1, 5)[0], wantErr: lvm.ErrNoSpace},
		// 5 are 6 in 2 stripes of 3, and 3 of parity: 3 legs of 3 + 1.
		{name: "raid5", space: space(0, 4, 4, 3, 4), request: of(raid5, 5)[0], wantOn: "a,b,d", wantExtents: 6},
		{name: "raid5, one extent less", space: space(0, 4, 4, 3, 3), request: of(raid5, 5)[0], wantErr: lvm.ErrNoSpace},
		// 4 are 6 in 3 stripes of 2, and 2 × 2 of parity: 5 legs of 2 + 1.
		{name: "raid6", space: space(0, 3, 3, 3, 3, 3), request: of(raid6, 4)[0], wantOn: "a,b,c,d,e", wantExtents: 6},
		{name: "raid6 on four", space: space(0, 9, 9, 9, 9), request: of(raid6, 4)[0], wantErr: lvm.ErrNoSpace},
		// 3 are 4 in 2 stripes of 2, twice: 4 legs of 2 + 1.
		{name: "raid10", space: space(0, 3, 5, 3, 3, 2), request: of(raid10, 3)[0], wantOn: "b,a,c,d", wantExtents: 4},
		// The legs take 2 × 6 of 12 + 1 - 1.
		{name: "legs keep held bytes", space: space(extent, 6, 7), request: of(raid1, 5)[0], wantOn: "b,a", wantExtents: 5},
		{name: "legs take no held bytes", space: space(2*extent, 6, 7), request: of(raid1, 5)[0], wantErr: lvm.ErrNoSpace},
		// 16 MiB of header are 4 extents: 2 + 4.
		{name: "overhead", space: space(0, 6), request: lvm.Request{SizeBytes: 2 * extent, Layout: lvm.Layout{OverheadBytes: 16 << 20}},
			wantOn: "a", wantExtents: 6},
		{name: "overhead, one byte more", space: space(0, 6), request: lvm.Request{SizeBytes: 2*extent + 1, Layout: lvm.Layout{OverheadBytes: 16 << 20}},
			wantErr: lvm.ErrNoSpace},
		{name: "unknown layout", space: space(0, 9, 9), request: of(lvm.Layout{Type: "raid4"}, 1)[0], wantErr: lvm.ErrInvalidLayout},
		{name: "one stripe", space: space(0, 9, 9), request: of(lvm.Layout{Type: lvm.LayoutStriped, Stripes: 1}, 1)[0], wantErr: lvm.ErrInvalidLayout},
	} {
		t.Run(c.name, func(t *testing.T) {
			placement, err := c.space.Place(c.request)
			if !errors.Is(err, c.wantErr) {
				t.Fatalf("error %v, want %v", err, c.wantErr)
			}
			if on := strings.Join(placement.PhysicalVolumes, ","); on != c.wantOn || placement.SizeBytes != c.wantExtents*extent {
				t.Errorf("%d bytes on %q, want %d extents on %q", placement.SizeBytes, on, c.wantExtents, c.wantOn)
			}
		})
	}
}

// Leg metadata is 2 × 4 KiB and a bit for each region of 2 MiB.
func TestRAIDMetadata(t *testing.T) {
	const kib, tib = int64(1) << 10, int64(1) << 40
	for _, c := range []struct {
		name              string
		extentSize, bytes int64
		layout            lvm.Layout
		want              bool
	}{
		// 8 KiB and a byte.
		{"extents that do not hold the headers", 8 * kib, 1 << 20, raid1, false},
		{"extents that do", 16 * kib, 1 << 20, raid1, true},
		// 56 KiB are left in 64 for 458,752 bits, each for 2 MiB: 896 GiB.
		{"the largest leg", 64 * kib, 896 << 30, raid1, true},
		{"a larger one", 64 * kib, 897 << 30, raid1, false},
		{"the same in two stripes", 64 * kib, 1792 << 30, raid5, true},
		// Regions double beyond 4 TiB, so that 2^21 of them do: 8 KiB + 256 KiB.
		{"regions grow", 512 * kib, 100 * tib, raid1, true},
		{"stripes have no metadata", 4 * kib, 100 * tib, striped, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &lvm.Space{ExtentSizeBytes: c.extentSize}
			for _, name := range []string{"a", "b", "c"} {
				s.PhysicalVolumes = append(s.PhysicalVolumes, lvm.FreeSpace{Name: name, FreeBytes: 200 * tib})
			}
			if err := s.Check([]lvm.Request{{SizeBytes: c.bytes, Layout: c.layout}}); (err == nil) != c.want {
				t.Errorf("fits: %v, want %t", err, c.want)
			}
		})
	}
}

func TestValidateLayout(t *testing.T) {
	for _, l := range []lvm.Layout{
		{}, {Type: lvm.LayoutLinear}, striped, raid1, raid5, raid6, raid10, thin,
		{Type: lvm.LayoutStriped, Stripes: 128}, {Type: lvm.LayoutRAID10, Stripes: 32, Mirrors: 2},
	} {
		if err := l.Validate(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
	for _, l := range []lvm.Layout{
		{Type: "raid0"}, {Type: lvm.LayoutStriped}, {Type: lvm.LayoutStriped, Stripes: 129}, {Type: lvm.LayoutRAID1, Mirrors: 1},
		{Type: lvm.LayoutRAID1, Mirrors: 11}, {Type: lvm.LayoutRAID5, Stripes: 1}, {Type: lvm.LayoutRAID6, Stripes: 2},
		{Type: lvm.LayoutRAID10, Stripes: 2}, {Type: lvm.LayoutRAID10, Stripes: 33, Mirrors: 2}, {Type: lvm.LayoutThin},
		{Type: lvm.LayoutThin, ThinPool: "pool", OverprovisionPercent: 99}, {OverheadBytes: -1},
	} {
		if err := l.Validate(); !errors.Is(err, lvm.ErrInvalidLayout) {
			t.Errorf("%+v: %v, want it refused", l, err)
		}
	}
}
