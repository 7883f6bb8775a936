package capacity

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	// placementsVariable sets how many placements TestProperty makes over all scenarios.
	placementsVariable = "BERTH_PROPERTY_PLACEMENTS"
	// worldSteps is the length of one world's life.
	worldSteps = 3000
	// storyLines is how much of a failure's story is told.
	storyLines = 250
)

// shortPlacements is enough to find what is not a rare coincidence. The race detector, which has nothing to find in one
// goroutine, makes do with fewer.
var shortPlacements = 60_000

// TestProperty holds the ledger to its promise in a model of everything around it: with one scheduler no volume is
// refused for lack of space; with others, or with an operator at work, only where the scheduler could not know; and
// once all is quiet the ledger is what the API server's objects make, the disks agree, and nobody waits who fits.
func TestProperty(t *testing.T) {
	placements := shortPlacements
	if text := os.Getenv(placementsVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", placementsVariable, err)
		}
		placements = n
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			// The first half of the promise has half of the placements.
			share := placements / 2
			if s.mayRefuse {
				share /= len(scenarios) - 1
			}
			runScenario(t, s, share)
		})
	}
}

func runScenario(t *testing.T, s scenario, placements int) {
	var placed, refused, woken, worlds int
	for seed := uint64(0); placed < placements; seed++ {
		steps := randomSteps(seed)
		w := run(s, seed, steps, false)
		if w.failure != "" {
			t.Fatalf("world %d: %s", seed, story(s, seed, steps))
		}
		placed, refused, woken, worlds = placed+w.placed, refused+w.refused, woken+w.woken, worlds+1
	}
	t.Logf("%d pods placed in %d worlds, %d volumes refused (all explained), %d pods woken", placed, worlds, refused, woken)
	if s.mayRefuse && placements > 5000 && refused == 0 {
		t.Error("no refusal at all: the scenario does not show what it is for")
	}
}

func randomSteps(seed uint64) []step {
	r := rand.New(rand.NewPCG(seed, 1))
	steps := make([]step, worldSteps)
	for i := range steps {
		steps[i] = randomStep(r)
	}
	return steps
}

// run lives one world through its steps and to its end. A panic is a failure, too.
func run(s scenario, seed uint64, steps []step, tracing bool) (w *world) {
	w = newWorld(s, seed)
	w.tracing = tracing
	defer func() {
		if r := recover(); r != nil {
			w.fail("panic: %v", r)
		}
	}()
	for _, step := range steps {
		if w.do(step); w.failure != "" {
			return w
		}
	}
	w.say("all that was begun ends")
	if w.rest(); w.failure == "" {
		w.checkRest()
	}
	return w
}

// story is a failure cut down to the steps that it needs, and told.
func story(s scenario, seed uint64, steps []step) string {
	steps = shrink(steps, func(steps []step) bool { return run(s, seed, steps, false).failure != "" })
	w := run(s, seed, steps, true)
	var literal strings.Builder
	for _, step := range steps {
		fmt.Fprintf(&literal, "\t{%d, %d, %d}, // %s\n", step.kind, step.a, step.b, kinds[step.kind].name)
	}
	lines := strings.Split(w.trace.String(), "\n")
	if cut := len(lines) - storyLines; cut > 0 {
		lines = append([]string{fmt.Sprintf("(%d lines before)", cut)}, lines[cut:]...)
	}
	return fmt.Sprintf("%s\nscenario %q, cut down to %d steps:\n%s\nsteps:\n%s", w.failure, s.name, len(steps), strings.Join(lines, "\n"), literal.String())
}

// shrink takes steps away, large parts first, as long as the rest still fails.
func shrink(steps []step, fails func([]step) bool) []step {
	for part := len(steps) / 2; part >= 1; {
		shorter := false
		for at := 0; at+part <= len(steps); {
			without := slices.Concat(steps[:at], steps[at+part:])
			if fails(without) {
				steps, shorter = without, true
			} else {
				at += part
			}
		}
		if !shorter || part > 1 {
			part /= 2
		}
	}
	return steps
}

// Shrinking finds the few steps that matter among many.
func TestShrink(t *testing.T) {
	steps := make([]step, 1000)
	for i := range steps {
		steps[i].a = uint32(i)
	}
	short := shrink(steps, func(steps []step) bool {
		has := func(a uint32) bool { return slices.ContainsFunc(steps, func(s step) bool { return s.a == a }) }
		return has(17) && has(400) && has(999)
	})
	if len(short) != 3 {
		t.Errorf("%d steps left, want 3", len(short))
	}
}
