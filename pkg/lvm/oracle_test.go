package lvm_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// seedVariable repeats a run.
const seedVariable = "BERTH_SEED"

func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// fitCase is a small volume group with volumes in flight and a pod's.
type fitCase struct {
	free          []int64
	heldBytes     int64
	pool          lvm.ThinPool
	inFlight, pod []lvm.Request
}

func randomCase(random *rand.Rand) fitCase {
	c := fitCase{pool: lvm.ThinPool{Name: "pool", SizeBytes: (1 + random.Int64N(9)) * extent, MetadataSizeBytes: 1000}}
	for range 1 + random.IntN(5) {
		c.free = append(c.free, random.Int64N(12))
	}
	if random.IntN(3) == 0 {
		c.heldBytes = random.Int64N(3 * extent)
	}
	if random.IntN(8) == 0 {
		c.pool.DataUsedBytes, c.pool.MetadataUsedBytes = random.Int64N(c.pool.SizeBytes), random.Int64N(1000)
	}
	c.pool.VirtualBytes = random.Int64N(2*c.pool.SizeBytes) / extent * extent
	// A third of the volume groups serve few layouts, in which more fits.
	layouts := []lvm.Layout{linear, striped, raid1, raid5, raid6, raid10, thin,
		{Type: lvm.LayoutStriped, Stripes: 3}, {Type: lvm.LayoutRAID1, Mirrors: 3},
		{Type: lvm.LayoutThin, ThinPool: "pool", OverprovisionPercent: 100 + random.Int64N(200)},
		{OverheadBytes: 1 + random.Int64N(extent)}}
	if random.IntN(3) == 0 {
		layouts = layouts[:1+random.IntN(4)]
	}
	most := 1 + random.Int64N(6)
	for range 1 + random.IntN(5) {
		r := lvm.Request{SizeBytes: 1 + random.Int64N(most*extent), Layout: layouts[random.IntN(len(layouts))]}
		if random.IntN(2) == 0 {
			c.pod = append(c.pod, r)
		} else {
			c.inFlight = append(c.inFlight, r)
		}
	}
	return c
}

func (c fitCase) space() *lvm.Space {
	s := space(c.heldBytes, c.free...)
	s.ThinPools = []lvm.ThinPool{c.pool}
	return s
}

func (c fitCase) fits() bool {
	_, err := c.space().Promise(c.inFlight).Fit(c.pod)
	return err == nil
}

func (c fitCase) String() string {
	list := func(requests []lvm.Request) string {
		var texts []string
		for _, r := range requests {
			texts = append(texts, fmt.Sprintf("%.2f extents %+v", float64(r.SizeBytes)/extent, r.Layout))
		}
		return strings.Join(texts, "\n    ")
	}
	return fmt.Sprintf("free %v, held %d bytes, %+v\n  in flight:\n    %s\n  pod's:\n    %s", c.free, c.heldBytes, c.pool, list(c.inFlight), list(c.pod))
}

// smaller are cases with one thing less.
func (c fitCase) smaller() []fitCase {
	var cases []fitCase
	without := func(requests []lvm.Request, i int) []lvm.Request {
		return slices.Delete(slices.Clone(requests), i, i+1)
	}
	for i := range c.inFlight {
		next := c
		next.inFlight = without(c.inFlight, i)
		cases = append(cases, next)
	}
	for i := range c.pod {
		next := c
		next.pod = without(c.pod, i)
		cases = append(cases, next)
	}
	for i := range c.free {
		next := c
		next.free = slices.Delete(slices.Clone(c.free), i, i+1)
		cases = append(cases, next)
		if c.free[i] > 0 {
			next.free = slices.Clone(c.free)
			next.free[i]--
			cases = append(cases, next)
		}
	}
	if c.heldBytes > 0 {
		next := c
		next.heldBytes = 0
		cases = append(cases, next)
	}
	return cases
}

// shrink takes away what a failure does not need.
func shrink(c fitCase, fails func(fitCase) bool) fitCase {
	for {
		i := slices.IndexFunc(c.smaller(), fails)
		if i < 0 {
			return c
		}
		c = c.smaller()[i]
	}
}

// TestFitAgainstTwin asks of small random cases whether a pod's volumes fit, and compares with a naive volume group in
// which they and those in flight are made in every order, one extent after another.
func TestFitAgainstTwin(t *testing.T) {
	random := newRandom(t)
	differs := func(c fitCase) bool { return c.fits() != c.everyOrderFits() }
	answers := map[bool]int{}
	for range 100_000 {
		c := randomCase(random)
		if differs(c) {
			c = shrink(c, differs)
			t.Fatalf("fits: %t, in every order: %t\n%v", c.fits(), c.everyOrderFits(), c)
		}
		answers[c.fits()]++
	}
	t.Logf("%d fit, %d do not", answers[true], answers[false])
	if answers[true] < 20_000 || answers[false] < 20_000 {
		t.Errorf("the cases are too one-sided")
	}
}
