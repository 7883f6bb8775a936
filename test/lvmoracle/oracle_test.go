//go:build lab

package lvmoracle

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// defaultCases is how many volume groups are tried.
const defaultCases = 500

// seedVariable repeats a run, casesVariable changes its length.
const (
	seedVariable  = "BERTH_SEED"
	casesVariable = "BERTH_CASES"
)

// shortOfSpace is how LVM says that it has too little, or on too few physical volumes.
var shortOfSpace = regexp.MustCompile(`[Ii]nsufficient|must not exceed number of physical volumes|have space available`)

var layouts = []lvm.Layout{
	{Type: lvm.LayoutLinear},
	{Type: lvm.LayoutStriped, Stripes: 2}, {Type: lvm.LayoutStriped, Stripes: 3},
	{Type: lvm.LayoutRAID1, Mirrors: 2}, {Type: lvm.LayoutRAID1, Mirrors: 3},
	{Type: lvm.LayoutRAID5, Stripes: 2}, {Type: lvm.LayoutRAID5, Stripes: 3},
	{Type: lvm.LayoutRAID6, Stripes: 3},
	{Type: lvm.LayoutRAID10, Stripes: 2, Mirrors: 2},
}

// oracle runs the cases and counts what LVM answers.
type oracle struct {
	*group
	random *rand.Rand
	// fits and refused count LVM's answers by layout; elsewhere counts volumes that LVM would have made with legs that
	// change the physical volume midway, again those made a second time (createApart).
	fits, refused, elsewhere, again map[lvm.LayoutType]int
	sets, refusedSets               int
}

// TestLVMAgrees: what fits is made, and what does not fit is not.
func TestLVMAgrees(t *testing.T) {
	seed := fromEnvironment(t, seedVariable, uint64(time.Now().UnixNano()))
	cases := fromEnvironment(t, casesVariable, defaultCases)
	t.Logf("%s=%d", seedVariable, seed)
	o := &oracle{group: newGroup(t), random: rand.New(rand.NewPCG(seed, 0)),
		fits: map[lvm.LayoutType]int{}, refused: map[lvm.LayoutType]int{}, elsewhere: map[lvm.LayoutType]int{}, again: map[lvm.LayoutType]int{}}
	start := time.Now()
	for i := range cases {
		r := o.fill(t, o.random)
		volumes := o.volumes(r)
		if o.space(r).Check(requests(volumes)) == nil {
			o.sets++
			o.makeAll(t, r, volumes)
		} else {
			o.refusedSets++
			o.failSomewhere(t, r, volumes)
		}
		if t.Failed() {
			t.Fatalf("case %d: free %v, volumes %+v", i, r.free, volumes)
		}
	}
	t.Logf("%d volume groups in %v: %d sets of volumes fit, %d do not", cases, time.Since(start).Round(time.Second), o.sets, o.refusedSets)
	for _, layout := range slices.Sorted(maps.Keys(o.fits)) {
		t.Logf("%-8s %4d made as placed (%d at the second attempt), %4d refused by LVM too, %4d that LVM makes with legs on several physical volumes",
			layout, o.fits[layout], o.again[layout], o.refused[layout], o.elsewhere[layout])
	}
}

// volumes are one to four, of sizes that are likely to matter: half of the single ones are the largest that fit, or one
// byte more.
func (o *oracle) volumes(r report) []volume {
	space := o.space(r)
	var volumes []volume
	for i := range 1 + o.random.IntN(4) {
		layout := layouts[o.random.IntN(len(layouts))]
		size := 1 + o.random.Int64N(1+space.UsableBytes(layout)/2)
		if most := space.MaximumVolumeBytes(layout); i == 0 && most > 0 && o.random.IntN(3) == 0 {
			size = most + o.random.Int64N(2)
		}
		volumes = append(volumes, volume{fmt.Sprintf("v%d", i), lvm.Request{SizeBytes: size, Layout: layout}})
		if i == 0 && size >= space.MaximumVolumeBytes(layout) {
			break
		}
	}
	return volumes
}

func requests(volumes []volume) []lvm.Request {
	var list []lvm.Request
	for _, v := range volumes {
		list = append(list, v.Request)
	}
	return list
}

// makeAll makes volumes that fit, in any order.
func (o *oracle) makeAll(t *testing.T, r report, volumes []volume) {
	t.Helper()
	o.random.Shuffle(len(volumes), func(i, j int) { volumes[i], volumes[j] = volumes[j], volumes[i] })
	for _, v := range volumes {
		r = o.makeOne(t, r, v)
	}
}

// makeOne makes a volume where Place says, and compares what it took with what Place says of it.
func (o *oracle) makeOne(t *testing.T, before report, v volume) (after report) {
	t.Helper()
	placement, err := o.space(before).Place(v.Request)
	if err != nil {
		t.Fatalf("%+v with %v free: %v", v, before.counts(), err)
	}
	on := placement.PhysicalVolumes
	made, again, output, after := o.createApart(t, v, placement.SizeBytes, on, before)
	if !made {
		t.Fatalf("%+v with %v free on %v: LVM does not make it\n%s", v, before.free, on, output)
	}
	o.fits[v.Layout.Type]++
	if again {
		o.again[v.Layout.Type]++
	}
	o.checkTaken(t, v, on, before.counts(), after.counts())
	if v.Layout.Legs() > 0 && !after.apart(v) {
		t.Errorf("%+v with %v free has legs %v: not each on one physical volume of its own", v, before.free, after.legs[v.lv])
	}
	return after
}

// checkTaken checks what a volume took of each physical volume: the same of each chosen for legs, all of each but one for
// a linear volume, and nothing of the others.
func (o *oracle) checkTaken(t *testing.T, v volume, on []string, before, after []int64) {
	t.Helper()
	taken, legs := (&lvm.Space{ExtentSizeBytes: extent}).TakenBytes(v.Request)/extent, int64(v.Layout.Legs())
	if got := sum(before) - sum(after); got != taken {
		t.Errorf("%+v took %d extents, want %d", v, got, taken)
	}
	partly := 0
	for i, device := range o.devices {
		chosen := slices.Contains(on, device)
		switch took := before[i] - after[i]; {
		case !chosen && took != 0:
			t.Errorf("%+v took %d extents of %s, which was not chosen", v, took, device)
		case chosen && legs > 0 && took != taken/legs:
			t.Errorf("%+v took %d extents of %s, want %d", v, took, device, taken/legs)
		case chosen && after[i] > 0:
			partly++
		}
	}
	if legs == 0 && partly > 1 {
		t.Errorf("%+v took parts of several physical volumes: %v before, %v after", v, before, after)
	}
}

// failSomewhere makes volumes that do not fit in an order that fails, up to the one that LVM is then to refuse too,
// although it may choose among all physical volumes.
func (o *oracle) failSomewhere(t *testing.T, r report, volumes []volume) {
	t.Helper()
	order := o.failingOrder(o.space(r), volumes)
	if order == nil {
		t.Fatalf("%+v with %v free: they do not fit, but every order does", volumes, r.counts())
	}
	last := len(order) - 1
	for _, v := range order[:last] {
		r = o.makeOne(t, r, v)
	}
	v := order[last]
	if _, err := o.space(r).Place(v.Request); !errors.Is(err, lvm.ErrNoSpace) {
		t.Fatalf("%+v with %v free: %v, want no space", v, r.counts(), err)
	}
	made, output, after := o.create(t, v, v.SizeBytes, o.devices)
	switch {
	case !made && shortOfSpace.MatchString(output):
		o.refused[v.Layout.Type]++
	case !made:
		t.Errorf("%+v with %v free: LVM refuses it for another reason\n%s", v, r.counts(), output)
	case v.Layout.Legs() > 0 && !after.apart(v):
		o.elsewhere[v.Layout.Type]++
	default:
		t.Errorf("%+v with %v free does not fit, but LVM makes it\n%s", v, r.counts(), output)
	}
}

// failingOrder looks for volumes that one after another are placed up to the last, which is not.
func (o *oracle) failingOrder(space *lvm.Space, volumes []volume) []volume {
	for i, v := range volumes {
		placement, err := space.Place(v.Request)
		if err != nil {
			return []volume{v}
		}
		rest := slices.Delete(slices.Clone(volumes), i, i+1)
		if order := o.failingOrder(after(space, v, placement), rest); order != nil {
			return append([]volume{v}, order...)
		}
	}
	return nil
}

// after is what a placed volume leaves; a linear one fills the physical volumes in their order.
func after(space *lvm.Space, v volume, placement lvm.Placement) *lvm.Space {
	left := *space
	left.PhysicalVolumes = slices.Clone(space.PhysicalVolumes)
	taken := space.TakenBytes(v.Request)
	each := taken / int64(max(v.Layout.Legs(), 1))
	for i := range left.PhysicalVolumes {
		if pv := &left.PhysicalVolumes[i]; slices.Contains(placement.PhysicalVolumes, pv.Name) {
			part := min(each, taken, pv.FreeBytes)
			pv.FreeBytes -= part
			taken -= part
		}
	}
	return &left
}

// fromEnvironment reads a variable of the environment; other is what it means when it is not set.
func fromEnvironment(t *testing.T, variable string, other uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return other
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}
