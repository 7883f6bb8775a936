package lvm_test

import "github.com/berth-dev/berth/pkg/lvm"

// everyOrderFits makes all volumes of a case in every order. A case whose pod asks for nothing of a kind (bytes of the
// volume group, bytes of the pool) is not hindered by what is in flight of that kind.
func (c fitCase) everyOrderFits() bool {
	var extents, virtual []lvm.Request
	wantsExtents, wantsVirtual := false, false
	for i, r := range together(c.inFlight, c.pod) {
		if r.Layout.Type == lvm.LayoutThin {
			virtual = append(virtual, r)
			wantsVirtual = wantsVirtual || i >= len(c.inFlight)
		} else {
			extents = append(extents, r)
			wantsExtents = wantsExtents || i >= len(c.inFlight)
		}
	}
	fits := true
	if wantsExtents {
		fits = c.orders(extents, 0)
	}
	if wantsVirtual {
		fits = fits && c.orders(virtual, 0)
	}
	return fits
}

// orders permutes the volumes from the one given on.
func (c fitCase) orders(volumes []lvm.Request, from int) bool {
	if from == len(volumes) {
		return c.makes(volumes)
	}
	for i := from; i < len(volumes); i++ {
		volumes[from], volumes[i] = volumes[i], volumes[from]
		fits := c.orders(volumes, from+1)
		volumes[from], volumes[i] = volumes[i], volumes[from]
		if !fits {
			return false
		}
	}
	return true
}

// makes makes the volumes one after another in a naive volume group.
func (c fitCase) makes(volumes []lvm.Request) bool {
	n := naive{held: c.heldBytes, pool: c.pool}
	for _, free := range c.free {
		n.free = append(n.free, int(free))
	}
	for _, volume := range volumes {
		if !n.make(volume) {
			return false
		}
	}
	return true
}

// naive is a volume group that counts free extents one by one.
type naive struct {
	free []int
	held int64
	pool lvm.ThinPool
}

// make makes one volume: its extents in rows of one for each stripe, until they hold the size.
func (n *naive) make(r lvm.Request) bool {
	stripes, copies, parity, metadata := 1, 1, 0, 0
	switch r.Layout.Type {
	case lvm.LayoutStriped:
		stripes = r.Layout.Stripes
	case lvm.LayoutRAID1:
		copies, metadata = r.Layout.Mirrors, 1
	case lvm.LayoutRAID5:
		stripes, parity, metadata = r.Layout.Stripes, 1, 1
	case lvm.LayoutRAID6:
		stripes, parity, metadata = r.Layout.Stripes, 2, 1
	case lvm.LayoutRAID10:
		stripes, copies, metadata = r.Layout.Stripes, r.Layout.Mirrors, 1
	}
	rows := 0
	for size := r.SizeBytes + r.Layout.OverheadBytes; size > 0; size -= int64(stripes) * extent {
		rows++
	}
	switch r.Layout.Type {
	case lvm.LayoutThin:
		return n.makeThin(int64(rows)*extent, r.Layout.OverprovisionPercent)
	case lvm.LayoutLinear, "":
		return n.makeLinear(rows)
	}
	return n.makeLegs(stripes*copies+parity, rows+metadata)
}

func (n *naive) makeThin(bytes, percent int64) bool {
	// 90 % of data, 70 % of metadata.
	if n.pool.DataUsedBytes >= n.pool.SizeBytes*9/10 || n.pool.MetadataUsedBytes >= n.pool.MetadataSizeBytes*7/10 {
		return false
	}
	n.pool.VirtualBytes += bytes
	return n.pool.VirtualBytes*100 <= n.pool.SizeBytes*percent
}

func (n *naive) makeLinear(extents int) bool {
	if !n.keepsHeld(extents) {
		return false
	}
	for extents > 0 {
		i := n.mostFree(nil)
		for n.free[i] > 0 && extents > 0 {
			n.free[i]--
			extents--
		}
	}
	return true
}

func (n *naive) makeLegs(legs, extents int) bool {
	if legs > len(n.free) || !n.keepsHeld(legs*extents) {
		return false
	}
	used := map[int]bool{}
	for range legs {
		i := n.mostFree(used)
		if n.free[i] < extents {
			return false
		}
		n.free[i] -= extents
		used[i] = true
	}
	return true
}

func (n *naive) keepsHeld(extents int) bool {
	total := -extents
	for _, free := range n.free {
		total += free
	}
	return int64(total)*extent >= n.held && total >= 0
}

// mostFree is the first of the physical volumes with the most free extents, but for those used.
func (n *naive) mostFree(used map[int]bool) int {
	best := -1
	for i := range n.free {
		if !used[i] && (best < 0 || n.free[i] > n.free[best]) {
			best = i
		}
	}
	return best
}
