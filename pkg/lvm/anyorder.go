package lvm

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// searchLimit is how many states fitsInAnyOrder looks at before it says no. Volumes of one size and layout are one kind,
// and what cannot go wrong is not looked into, so that it takes some ten unlike volumes in flight on one volume group,
// and little room, to reach it: a few milliseconds.
const searchLimit = 2000

// fitsInAnyOrder answers whether the promised volumes and the requests can be made in every order, each placed as Place
// does. The caller has checked that their bytes are free together.
//
// It follows every order, but once per set of volumes made and free extents left, and only where the bound of safe does
// not settle the matter. Past searchLimit the answer is no: a false no costs a retry, a false yes a pod.
func (s *Space) fitsInAnyOrder(requests []Request) bool {
	q := search{free: s.freeExtents(), seen: map[string]struct{}{}, limit: searchLimit}
	for _, list := range [][]Request{s.promised, requests} {
		for i := range list {
			t, err := list[i].take(s.ExtentSizeBytes)
			if err != nil {
				return false
			}
			q.add(t)
		}
	}
	// The orders that fail are those in which the large legs come last; they are tried first.
	slices.SortFunc(q.kinds, func(a, b kind) int {
		return cmp.Or(cmp.Compare(min(a.legs, 1), min(b.legs, 1)), cmp.Compare(a.extents, b.extents))
	})
	slices.SortFunc(q.free, descending)
	return q.all(q.free)
}

func (s *Space) freeExtents() []int64 {
	free := make([]int64, len(s.PhysicalVolumes))
	for i := range s.PhysicalVolumes {
		free[i] = s.PhysicalVolumes[i].FreeBytes / s.ExtentSizeBytes
	}
	return free
}

func descending(a, b int64) int { return cmp.Compare(b, a) }

// kind is volumes that take the same: extents from each of legs physical volumes, or from any where legs is 0.
type kind struct {
	legs    int
	extents int64
	// count of them are still to be made.
	count int
}

// search looks for an order that fails. free is always in descending order: which physical volume has how much free does
// not matter, only the numbers do.
type search struct {
	free  []int64
	kinds []kind
	// seen are the states from which every order is known to succeed.
	seen  map[string]struct{}
	limit int
}

func (q *search) add(t take) {
	if t.extents == 0 {
		return
	}
	if t.grows && t.legs > 0 {
		// On which physical volumes its legs lie is not known, so it takes its share of each.
		for i := range q.free {
			q.free[i] = max(q.free[i]-t.extents, 0)
		}
		return
	}
	for i := range q.kinds {
		if k := &q.kinds[i]; k.legs == t.legs && k.extents == t.extents {
			k.count++
			return
		}
	}
	q.kinds = append(q.kinds, kind{legs: t.legs, extents: t.extents, count: 1})
}

// all answers whether every order of what is still to be made succeeds.
func (q *search) all(free []int64) bool {
	if q.safe(free) {
		return true
	}
	state := q.state(free)
	if _, ok := q.seen[state]; ok {
		return true
	}
	if q.limit--; q.limit < 0 {
		return false
	}
	for i := range q.kinds {
		k := &q.kinds[i]
		if k.count == 0 {
			continue
		}
		next, ok := k.take(free)
		if !ok {
			return false
		}
		k.count--
		ok = q.all(next)
		k.count++
		if !ok {
			return false
		}
	}
	q.seen[state] = struct{}{}
	return true
}

// take is what one volume of the kind leaves: Place, on numbers alone.
func (k *kind) take(free []int64) ([]int64, bool) {
	left := slices.Clone(free)
	if k.legs > 0 {
		if k.legs > len(left) || left[k.legs-1] < k.extents {
			return nil, false
		}
		for i := range k.legs {
			left[i] -= k.extents
		}
	} else {
		wanted := k.extents
		for i := range left {
			part := min(left[i], wanted)
			left[i] -= part
			wanted -= part
		}
		if wanted > 0 {
			return nil, false
		}
	}
	slices.SortFunc(left, descending)
	return left, true
}

// safe is a bound that holds for any way to place, so that nothing needs following where it says yes. A volume of N legs
// can be kept from a volume group of n physical volumes only by leaving n-N+1 of them too little for a leg. Of these,
// another volume takes from each at most one leg's extents, and a linear one what it has in all.
func (q *search) safe(free []int64) bool {
	for i := range q.kinds {
		k := &q.kinds[i]
		if k.count == 0 || k.legs == 0 {
			continue
		}
		spoilt := len(free) - k.legs + 1
		if spoilt < 1 {
			return false
		}
		var needed int64
		for _, extents := range free[len(free)-spoilt:] {
			needed += max(extents-k.extents+1, 0)
		}
		if needed <= q.takenOf(spoilt)-k.extents*int64(min(k.legs, spoilt)) {
			return false
		}
	}
	return true
}

// takenOf is the most that all volumes still to be made take of so many physical volumes.
func (q *search) takenOf(physicalVolumes int) int64 {
	var total int64
	for i := range q.kinds {
		k := &q.kinds[i]
		total += k.extents * int64(k.count) * int64(max(min(k.legs, physicalVolumes), 1))
	}
	return total
}

// state names what is left to be made and what it finds.
func (q *search) state(free []int64) string {
	key := make([]byte, 0, 2*(len(q.kinds)+len(free)))
	for i := range q.kinds {
		key = binary.AppendUvarint(key, uint64(q.kinds[i].count))
	}
	for _, extents := range free {
		key = binary.AppendUvarint(key, uint64(extents))
	}
	return string(key)
}
