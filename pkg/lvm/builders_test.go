package lvm_test

import "github.com/berth-dev/berth/pkg/lvm"

const extent = 4 << 20

// space has extents of 4 MiB, and physical volumes a, b, c, … with so many free ones.
func space(heldBytes int64, freeExtents ...int64) *lvm.Space {
	s := &lvm.Space{ExtentSizeBytes: extent, HeldBytes: heldBytes}
	for i, extents := range freeExtents {
		s.PhysicalVolumes = append(s.PhysicalVolumes, lvm.FreeSpace{Name: string(rune('a' + i)), FreeBytes: extents * extent})
	}
	return s
}

// Layouts with the fewest legs.
var (
	linear  = lvm.Layout{}
	striped = lvm.Layout{Type: lvm.LayoutStriped, Stripes: 2}
	raid1   = lvm.Layout{Type: lvm.LayoutRAID1, Mirrors: 2}
	raid5   = lvm.Layout{Type: lvm.LayoutRAID5, Stripes: 2}
	raid6   = lvm.Layout{Type: lvm.LayoutRAID6, Stripes: 3}
	raid10  = lvm.Layout{Type: lvm.LayoutRAID10, Stripes: 2, Mirrors: 2}
	thin    = lvm.Layout{Type: lvm.LayoutThin, ThinPool: "pool", OverprovisionPercent: 200}
)

// of are volumes of a layout, of so many extents each.
func of(layout lvm.Layout, extents ...int64) []lvm.Request {
	var requests []lvm.Request
	for _, n := range extents {
		requests = append(requests, lvm.Request{SizeBytes: n * extent, Layout: layout})
	}
	return requests
}

func together(lists ...[]lvm.Request) []lvm.Request {
	var all []lvm.Request
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}
