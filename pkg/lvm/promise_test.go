package lvm_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// live is a volume group as the agent sees it: what each volume takes of which physical volume.
type live struct {
	space *lvm.Space
	taken [][]lvm.FreeSpace
}

// create makes a volume where Place says. Which of several physical volumes a linear one does not fill is LVM's choice:
// here chance's.
func (l *live) create(random *rand.Rand, request lvm.Request) error {
	placement, err := l.space.Place(request)
	if err != nil {
		return err
	}
	names := slices.Clone(placement.PhysicalVolumes)
	left := l.space.TakenBytes(request)
	each := left
	if legs := request.Layout.Legs(); legs > 0 {
		each /= int64(legs)
	} else {
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	var taken []lvm.FreeSpace
	for _, name := range names {
		pv := l.physicalVolume(name)
		part := min(each, left, pv.FreeBytes)
		pv.FreeBytes -= part
		left -= part
		taken = append(taken, lvm.FreeSpace{Name: name, FreeBytes: part})
	}
	l.taken = append(l.taken, taken)
	return nil
}

func (l *live) physicalVolume(name string) *lvm.FreeSpace {
	i := slices.IndexFunc(l.space.PhysicalVolumes, func(pv lvm.FreeSpace) bool { return pv.Name == name })
	return &l.space.PhysicalVolumes[i]
}

// remove gives back what a volume takes.
func (l *live) remove(i int) {
	for _, part := range l.taken[i] {
		l.physicalVolume(part.Name).FreeBytes += part.FreeBytes
	}
	l.taken = slices.Delete(l.taken, i, i+1)
}

// TestPromisesHold makes volumes that were promised together, in any order, some of them never, while others are removed
// or give way: each is placed.
func TestPromisesHold(t *testing.T) {
	random := newRandom(t)
	promised, removals := 0, 0
	for promised < 20_000 {
		c := randomCase(random)
		all := slices.DeleteFunc(together(c.inFlight, c.pod), func(r lvm.Request) bool { return r.Layout.Type == lvm.LayoutThin })
		if len(all) == 0 || c.space().Check(all) != nil {
			continue
		}
		promised++
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		l := &live{space: c.space()}
		for _, request := range all {
			switch {
			case random.IntN(6) == 0:
				continue // its claim is gone
			case random.IntN(4) == 0 && len(l.taken) > 0:
				l.remove(random.IntN(len(l.taken)))
				removals++
			case random.IntN(6) == 0:
				l.space.PhysicalVolumes[random.IntN(len(c.free))].FreeBytes += extent // something else went
				removals++
			}
			if err := l.create(random, request); err != nil {
				t.Fatalf("%v\n%+v: %v", c, request, err)
			}
		}
	}
	t.Logf("%d sets of volumes, %d removals between", promised, removals)
}
