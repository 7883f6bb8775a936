package lvm_test

import (
	"errors"
	"math"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func TestThinPool(t *testing.T) {
	half := lvm.Layout{Type: lvm.LayoutThin, ThinPool: "pool", OverprovisionPercent: 150}
	for _, c := range []struct {
		name     string
		pool     lvm.ThinPool
		promised []lvm.Request
		requests []lvm.Request
		wantErr  error
		// wantFree is what the shortage says is free, in extents.
		wantFree int64
	}{
		// 10 × 200 % = 20, of which 5 are given.
		{name: "exact fit", pool: lvm.ThinPool{VirtualBytes: 5 * extent}, requests: of(thin, 10, 5)},
		{name: "one byte more", pool: lvm.ThinPool{VirtualBytes: 5 * extent}, requests: []lvm.Request{{SizeBytes: 15*extent + 1, Layout: thin}}, wantErr: lvm.ErrNoSpace, wantFree: 15},
		{name: "promised ones count", promised: of(thin, 5), requests: of(thin, 16), wantErr: lvm.ErrNoSpace, wantFree: 15},
		{name: "growth takes the difference", pool: lvm.ThinPool{VirtualBytes: 18 * extent}, requests: []lvm.Request{{SizeBytes: 6 * extent, IncludedBytes: 4 * extent, Layout: thin}}},
		// 10 × 150 % = 15 for all, as the one held to it may come last.
		{name: "the smaller ratio decides", requests: together(of(thin, 10), of(half, 6)), wantErr: lvm.ErrNoSpace, wantFree: 15},
		{name: "the smaller ratio is promised", promised: of(half, 6), requests: of(thin, 10), wantErr: lvm.ErrNoSpace, wantFree: 9},
		{name: "data nearly full", pool: lvm.ThinPool{DataUsedBytes: 9*extent - 1}, requests: of(thin, 1)},
		{name: "data full", pool: lvm.ThinPool{DataUsedBytes: 9 * extent}, requests: of(thin, 1), wantErr: lvm.ErrNoSpace},
		{name: "metadata nearly full", pool: lvm.ThinPool{MetadataUsedBytes: 699}, requests: of(thin, 1)},
		{name: "metadata full", pool: lvm.ThinPool{MetadataUsedBytes: 700}, requests: of(thin, 1), wantErr: lvm.ErrNoSpace},
		{name: "metadata of unknown size", pool: lvm.ThinPool{MetadataSizeBytes: -1}, requests: of(thin, 1), wantErr: lvm.ErrNoSpace},
		{name: "ratio past an int64", pool: lvm.ThinPool{SizeBytes: math.MaxInt64 / 2}, requests: of(lvm.Layout{Type: lvm.LayoutThin, ThinPool: "pool", OverprovisionPercent: math.MaxInt64}, 1<<30)},
		{name: "no such pool", requests: of(lvm.Layout{Type: lvm.LayoutThin, ThinPool: "other", OverprovisionPercent: 100}, 1), wantErr: lvm.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.pool.Name = "pool"
			if c.pool.SizeBytes == 0 {
				c.pool.SizeBytes = 10 * extent
			}
			switch c.pool.MetadataSizeBytes {
			case 0:
				c.pool.MetadataSizeBytes = 1000
			case -1:
				c.pool.MetadataSizeBytes = 0
			}
			// Nothing is free in the volume group, and nothing is needed.
			s := space(0, 0)
			s.ThinPools = []lvm.ThinPool{c.pool}
			err := s.Promise(c.promised).Check(c.requests)
			if !errors.Is(err, c.wantErr) {
				t.Fatalf("error %v, want %v", err, c.wantErr)
			}
			var shortage *lvm.Shortage
			if errors.As(err, &shortage) && (shortage.FreeBytes != c.wantFree*extent || shortage.ThinPool != "pool") {
				t.Errorf("shortage %+v, want %d extents free in the pool", shortage, c.wantFree)
			}
		})
	}
}

func TestThinVolumesTakeNoExtents(t *testing.T) {
	s := space(0, 7)
	s.ThinPools = []lvm.ThinPool{{Name: "pool", SizeBytes: 10 * extent, MetadataSizeBytes: extent}}
	left, err := s.Fit(together(of(thin, 20), of(linear, 7)))
	if err != nil {
		t.Fatal(err)
	}
	if left.FreeBytes() != 0 || left.FreeBytesFor(thin) != 0 {
		t.Errorf("%d bytes left, %d in the pool, want none", left.FreeBytes(), left.FreeBytesFor(thin))
	}
	placement, err := s.Place(lvm.Request{SizeBytes: 1, Layout: thin})
	if err != nil || placement.ThinPool != "pool" || placement.SizeBytes != extent || placement.PhysicalVolumes != nil {
		t.Errorf("placed %+v (%v), want one extent in the pool", placement, err)
	}
}
