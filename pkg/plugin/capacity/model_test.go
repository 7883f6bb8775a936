package capacity

import (
	"fmt"
	"strings"
	"time"
)

// The model is a cluster in which everything that may be late is late by chance: an API server with one event log per
// resource, schedulers that read each log at their own pace, csi-provisioner and controller, agents with their disks
// and clocks, an operator. Only the ledger is real. The truth about the disks is kept apart, by addition.
//
// What happens is a list of steps, each with two numbers for its choices and no other source of chance: the same list
// is always the same story, and a shorter list is one, too. So a failure can be recorded and cut down.
//
// The model's promises are those that the ledger relies on (periods.go): no event is later than eventLag, a write
// lands within requestTimeout or never, CreateVolume makes its object within orderLag of reading the claim, clocks
// differ by no more than v1alpha1.MaxClockOffset each.
const (
	eventLag = watchLag - time.Second
	// writeLag is the longest from Reserve to the write of selected-node, orderLag from that to a CreateVolume and from
	// there to its LogicalVolume.
	writeLag = 20 * time.Second
	orderLag = 20 * time.Second
	// expansionLag is how long an agent that yields leaves an expansion lying: until what was promised before the
	// schedulers knew of it stands as LogicalVolumes.
	expansionLag = eventLag + writeLag + requestTimeout + 2*orderLag + 10*time.Second
)

// scenario is what a world is made of.
type scenario struct {
	name string
	// schedulers that are active at once, each with a ledger; with standby there is one and another behind it.
	schedulers int
	standby    bool
	// interference: the operator takes space, restores and replaces volume groups behind everybody's back.
	interference bool
	// hasty agents expand at once; others yield to what was promised before.
	hasty bool
	// mayRefuse: refusals are allowed where they are explained.
	mayRefuse bool
}

var scenarios = []scenario{
	{name: "one scheduler", schedulers: 1},
	{name: "one scheduler, expansions at once", schedulers: 1, hasty: true, mayRefuse: true},
	{name: "one scheduler, operator interferes", schedulers: 1, interference: true, mayRefuse: true},
	{name: "two schedulers", schedulers: 2, mayRefuse: true},
	{name: "failover", schedulers: 1, standby: true, mayRefuse: true},
}

// world is one run of the model.
type world struct {
	scenario
	// now is the API server's clock, counter its resourceVersions, UIDs and the order of what matters to the checks.
	now     time.Time
	counter uint64

	nodes      []*simNode
	claims     []*simClaim
	pods       []*simPod
	schedulers []*simScheduler
	claimLog   []claimEvent
	volumeLog  []volumeEvent
	reportLog  []reportEvent

	bindings []*binding
	flying   []*flyingWrite
	calls    []*call
	// open are the claims whose volume somebody still has to do with.
	open []*simClaim

	// lazy is the log that comes late; 4 for none.
	lazy uint32

	placed, refused, woken int
	failure                string
	tracing                bool
	trace                  strings.Builder
}

// newWorld makes a cluster of three nodes. All that differs between worlds of a scenario follows from the seed.
func newWorld(s scenario, seed uint64) *world {
	w := &world{scenario: s, now: start, counter: 1000, lazy: uint32(seed/2) % 5}
	recents := [...]int{64, 2, 0}
	offsets := [...]time.Duration{0, 4 * time.Second, -4 * time.Second, 5 * time.Second, -5 * time.Second}
	for i, size := range []int64{12, 20, 9} {
		w.nodes = append(w.nodes, newSimNode(w, i, size*gib, recents[seed%3], offsets[(seed/3+uint64(i)*2)%5]))
	}
	count := s.schedulers
	if s.standby {
		count = 2
	}
	for i := range count {
		w.schedulers = append(w.schedulers, &simScheduler{world: w, index: i, offset: offsets[(seed/15+uint64(i))%5]})
	}
	for _, n := range w.nodes {
		n.look()
		n.publish()
	}
	for _, s := range w.schedulers {
		s.restart()
	}
	return w
}

func (w *world) next() uint64 {
	w.counter++
	return w.counter
}

// say records what happens, for the story of a failure.
func (w *world) say(format string, args ...any) {
	if w.tracing {
		fmt.Fprintf(&w.trace, "%7.1fs  %s\n", w.now.Sub(start).Seconds(), fmt.Sprintf(format, args...))
	}
}

// fail ends the run; the first failure counts.
func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
		w.say("FAILED: %s", w.failure)
	}
}

// active are the schedulers that place pods.
func (w *world) active() []*simScheduler { return w.schedulers[:w.scenario.schedulers] }

// pass lets time pass and makes happen what may not be later.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for i := 0; i < len(w.flying); {
		if w.now.Sub(w.flying[i].since) < requestTimeout-time.Second {
			i++
			continue
		}
		w.land(i, true)
	}
	for _, b := range append([]*binding(nil), w.bindings...) {
		for !b.ended && b.written < len(b.claims) && w.now.Sub(b.since) >= writeLag {
			b.step()
		}
	}
	for _, c := range w.open {
		if c.call == nil && c.wanted() && w.now.Sub(c.selectedAt) >= orderLag {
			w.startCall(c)
		}
	}
	for _, c := range append([]*call(nil), w.calls...) {
		for !c.ended && !c.ordered && w.now.Sub(c.since) >= orderLag {
			c.step(0)
		}
	}
	for _, s := range w.schedulers {
		s.catchUp()
		for i, n := range w.nodes {
			if w.now.Sub(s.renewed[i]) >= time.Minute {
				s.renewed[i] = w.now
				s.ledger.ObserveLease(n.name, w.now.Add(n.offset))
			}
		}
		s.ledger.Sweep()
	}
}
