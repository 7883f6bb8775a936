package capacity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// queue records whom it was asked to activate, in rounds.
type queue struct {
	rounds [][]string
	// sizes are the waiting pods' claims by name; busy is a scheduler that does not get around to the woken ones.
	sizes map[string]int64
	busy  bool
}

func newTestQueue() *queue { return &queue{sizes: map[string]int64{}} }

func (q *queue) Activate(_ klog.Logger, pods map[string]*v1.Pod) {
	q.rounds = append(q.rounds, slices.Sorted(maps.Keys(pods)))
}

// await enters pod i, created i minutes after start, as waiting for one claim of class ssd.
func (f *fixture) await(q *queue, i int, size int64) {
	name := fmt.Sprintf("pod-%d", i)
	q.sizes[name] = size
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(start.Add(time.Duration(i) * time.Minute)),
	}}
	f.Await(pod, demand(claim("claim-of-"+name, size)), q, nil)
}

// rounds runs n rounds of waking, roundPeriod apart, and returns who was woken: "pod-0 pod-1|pod-2". Unless the
// scheduler is busy, those who are woken have a cycle before the next round, and find that something else keeps them
// off the node.
func (f *fixture) rounds(q *queue, n int) string {
	var texts []string
	for range n {
		q.rounds = nil
		f.WakeRound(klog.Background())
		f.clock.add(roundPeriod)
		for _, round := range q.rounds {
			texts = append(texts, strings.ReplaceAll(strings.Join(round, " "), "ns/", ""))
			for _, key := range round {
				var i int
				if _, err := fmt.Sscanf(key, "ns/pod-%d", &i); err == nil && !q.busy {
					f.await(q, i, q.sizes[fmt.Sprintf("pod-%d", i)])
				}
			}
		}
	}
	return strings.Join(texts, "|")
}

// full is a fixture whose node a has nothing left, and which has no waking to do.
func full(t *testing.T) (*fixture, *queue) {
	f, q := newFixture(t), newTestQueue()
	f.report("a", group("vg-ssd", 1, 0))
	f.rounds(q, 2)
	return f, q
}

func TestWake(t *testing.T) {
	for _, test := range []struct {
		name  string
		sizes []int64 // of the waiting pods, oldest first
		free  int64   // what comes free
		want  string
	}{
		{"nobody waits", nil, 10, ""},
		{"nobody fits", []int64{5}, 4, ""},
		{"as many as the space holds, oldest first", []int64{2, 2, 2}, 4, "pod-0 pod-1|pod-2"},
		{"a small one passes a large one", []int64{5, 2}, 4, "pod-1"},
		{"space that is left unused is offered on", []int64{3, 3, 3}, 4, "pod-0|pod-1|pod-2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, q := full(t)
			for i, size := range test.sizes {
				f.await(q, i, size)
			}
			f.report("a", group("vg-ssd", 2, test.free))
			if got := f.rounds(q, 6); got != test.want {
				t.Errorf("woken %q, want %q", got, test.want)
			}
		})
	}
}

func TestWakeCauses(t *testing.T) {
	holder := claim("holder", 10)
	for _, test := range []struct {
		name   string
		before func(*fixture)
		cause  func(*fixture)
		want   string
	}{
		{"a report without news", nil, func(f *fixture) { f.report("a", group("vg-ssd", 1, 0)) }, ""},
		{"a promise ends", func(f *fixture) {
			f.ObserveVolume(volumeOf(holder, "a", v1alpha1.PhaseAccepted, 0))
			f.report("a", group("vg-ssd", 1, 10))
		}, func(f *fixture) {
			f.ObserveVolume(volumeOf(holder, "a", v1alpha1.PhaseFailed, 0))
		}, "pod-0"},
		{"a reservation is taken back and its time is up", func(f *fixture) {
			f.report("a", group("vg-ssd", 1, 10))
			f.Reserve("a", "other", demand(holder))
			f.Unreserve("a", "other", demand(holder))
		}, func(f *fixture) {
			f.clock.add(looseFor + time.Second)
			f.Sweep()
		}, "pod-0"},
		{"the agent is back", func(f *fixture) {
			f.report("a", group("vg-ssd", 1, 10))
			f.clock.add(10 * time.Minute)
		}, func(f *fixture) { f.renew() }, "pod-0"},
		{"a volume group becomes usable", func(f *fixture) {
			broken := group("vg-ssd", 1, 10)
			broken.Usable = false
			f.report("a", broken)
		}, func(f *fixture) { f.report("a", group("vg-ssd", 1, 10)) }, "pod-0"},
		{"a node's first report", nil, func(f *fixture) { f.report("b", group("vg-ssd", 1, 10)) }, "pod-0"},
		{"the clock is right again", func(f *fixture) {
			f.report("a", group("vg-ssd", 1, 10))
			f.nodes["a"].report.clockOff = true
		}, func(f *fixture) { f.report("a", group("vg-ssd", 1, 10)) }, "pod-0"},
		{"the Lease is renewed in time", func(f *fixture) {
			f.report("a", group("vg-ssd", 1, 10))
			f.clock.add(63 * time.Second)
		}, func(f *fixture) { f.renew() }, ""},
		{"a bar's time is up", func(f *fixture) {
			f.report("a", group("vg-ssd", 1, 10))
			refused := volumeOf(claim("claim-of-pod-0", 2), "a", v1alpha1.PhaseFailed, 0)
			f.ObserveVolume(refused)
		}, func(f *fixture) {
			f.clock.add(barredFor)
			f.Sweep()
		}, "pod-0"},
		{"a bar is lifted by a report", func(f *fixture) {
			f.report("a", group("vg-ssd", 1, 10))
			refused := volumeOf(claim("claim-of-pod-0", 2), "a", v1alpha1.PhaseFailed, 0)
			f.ObserveVolume(refused)
			f.clock.add(clockMargin)
		}, func(f *fixture) { f.report("a", group("vg-ssd", 1, 10)) }, "pod-0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, q := full(t)
			if test.before != nil {
				test.before(f)
			}
			f.rounds(q, 2)
			f.await(q, 0, 2)
			test.cause(f)
			if got := f.rounds(q, 3); got != test.want {
				t.Errorf("woken %q, want %q", got, test.want)
			}
		})
	}
}

// Space that comes free after Await and before the pod is parked must wake it, even when the pod looked before.
func TestNoWakeUpIsLostDuringACycle(t *testing.T) {
	f, q := full(t)
	f.await(q, 0, 2)
	if v := f.Evaluate("a", demand(claim("claim-of-pod-0", 2))); v.Reason != TooFewBytes {
		t.Fatalf("full node: %+v", v)
	}
	f.report("a", group("vg-ssd", 2, 10))
	if got := f.rounds(q, 1); got != "pod-0" {
		t.Errorf("woken %q, want pod-0", got)
	}
}

// Free space went down between two rises, and the second is lower than the first.
func TestEveryRiseWakes(t *testing.T) {
	f, q := full(t)
	f.report("a", group("vg-ssd", 2, 10))
	f.rounds(q, 2)
	f.report("a", group("vg-ssd", 3, 1))
	f.await(q, 0, 5)
	f.report("a", group("vg-ssd", 4, 6))
	if got := f.rounds(q, 2); got != "pod-0" {
		t.Errorf("woken %q, want pod-0", got)
	}
}

func TestReservedAndForgottenPodsAreNotWoken(t *testing.T) {
	f, q := full(t)
	f.await(q, 0, 2)
	f.await(q, 1, 2)
	f.report("a", group("vg-ssd", 2, 10))
	f.Reserve("a", "pod-0", demand(claim("claim-of-pod-0", 2)))
	f.ForgetPod("pod-1")
	if got := f.rounds(q, 2); got != "" {
		t.Errorf("woken %q, want nobody", got)
	}
}

func TestPinnedPodIsNotWokenForAnotherNode(t *testing.T) {
	f, q := full(t)
	pinned := claim("pinned", 2)
	pinned.SelectedNode = "a"
	f.Await(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pinned", UID: "pinned"}}, demand(pinned), q, nil)
	f.report("b", group("vg-ssd", 1, 10))
	if got := f.rounds(q, 2); got != "" {
		t.Errorf("woken %q, want nobody", got)
	}
}

// One pod is not activated faster than once a round, however often space comes free; and the last rise is not lost.
func TestWakingIsLimited(t *testing.T) {
	f, q := full(t)
	f.await(q, 0, 2)
	for i := range int64(5) {
		f.report("a", group("vg-ssd", 2+i, 4+i))
		f.WakeRound(klog.Background())
		f.await(q, 0, 2)
	}
	f.report("a", group("vg-ssd", 9, 9))
	if f.WakeRound(klog.Background()); len(q.rounds) != 1 {
		t.Errorf("activated %d times within one round's time, want once", len(q.rounds))
	}
	f.clock.add(roundPeriod)
	if got := f.rounds(q, 3); got != "pod-0" {
		t.Errorf("woken %q after the limit, want pod-0", got)
	}
}

// A busy scheduler takes its time. The space of those who were woken is kept for them, so that no others are woken for
// the same space, until it seems that they will not come.
// A pod that may not be woken yet, and that two nodes would do for, still has the second when the first is taken.
func TestWaitingForTheNextRoundKeepsAllNodes(t *testing.T) {
	f, q := full(t)
	f.report("b", group("vg-ssd", 1, 0))
	f.rounds(q, 2)
	f.await(q, 0, 3)
	f.report("a", group("vg-ssd", 2, 3))
	f.WakeRound(klog.Background())
	f.await(q, 0, 3)
	f.report("a", group("vg-ssd", 3, 0))
	f.WakeRound(klog.Background())
	q.rounds = nil

	f.report("a", group("vg-ssd", 4, 3))
	f.report("b", group("vg-ssd", 4, 3))
	f.WakeRound(klog.Background())
	if len(q.rounds) > 0 {
		t.Fatalf("woken twice in one second: %v", q.rounds)
	}
	f.report("a", group("vg-ssd", 5, 0))
	f.clock.add(roundPeriod)
	f.renew()
	if woken := f.rounds(q, 1); woken != "pod-0" {
		t.Errorf("woken %q, want pod-0 for the other node", woken)
	}
}

func TestNoThunderingHerd(t *testing.T) {
	f, q := full(t)
	q.busy = true
	const waiting, fit = 500, 10
	for i := range waiting {
		f.await(q, i, 1)
	}
	f.report("a", group("vg-ssd", 2, fit))
	if got := len(strings.Fields(strings.ReplaceAll(f.rounds(q, int(offerFor/roundPeriod)), "|", " "))); got != fit {
		t.Errorf("%d pods woken for %d GiB, want %d", got, fit, fit)
	}
	if got := f.rounds(q, 1); !strings.HasPrefix(got, "pod-10 pod-11") {
		t.Errorf("woken %q after the first did not come, want the next", got)
	}
}

// A pod whose cycle began after the space came free has seen it.
func TestSeenSpaceWakesNobody(t *testing.T) {
	f, q := full(t)
	f.report("a", group("vg-ssd", 2, 10))
	f.await(q, 0, 2)
	if got := f.rounds(q, 3); got != "" {
		t.Errorf("woken %q, want nobody", got)
	}
}

// A simulation wakes nobody by its end, and hides nothing that came free while it held bytes.
func TestSimulationAndWaking(t *testing.T) {
	f, q := newFixture(t), newTestQueue()
	f.report("a", group("vg-ssd", 1, 9))
	f.rounds(q, 2)
	f.await(q, 0, 5)
	group8 := demand(claim("of-a-group", 8))
	f.Simulate("a", "member", group8)
	f.Unreserve("a", "member", group8)
	if got := f.rounds(q, 2); got != "" {
		t.Errorf("woken %q by a simulation", got)
	}
	f.Simulate("a", "member", group8)
	f.report("a", group("vg-ssd", 2, 12))
	if got := f.rounds(q, 2); got != "" {
		t.Errorf("woken %q while a simulation holds the space", got)
	}
	f.Unreserve("a", "member", group8)
	if got := f.rounds(q, 2); got != "pod-0" {
		t.Errorf("woken %q for what came free meanwhile, want pod-0", got)
	}
}

func TestSimulatedPodGoesOnWaiting(t *testing.T) {
	f, q := full(t)
	f.report("a", group("vg-ssd", 2, 2))
	f.await(q, 0, 2)
	d := demand(claim("claim-of-pod-0", 2))
	f.Simulate("a", "pod-0", d)
	f.Unreserve("a", "pod-0", d)
	f.report("a", group("vg-ssd", 3, 4))
	if got := f.rounds(q, 2); got != "pod-0" {
		t.Errorf("woken %q, want pod-0", got)
	}
}

// When more comes free at once than one round looks at, the next rounds look at the rest.
func TestRoundsAreBounded(t *testing.T) {
	f, q := full(t)
	const waiting, nodes = 400, 300
	for i := range waiting {
		f.await(q, i, 50)
	}
	for i := range nodes {
		name := fmt.Sprintf("n%03d", i)
		f.ObserveLease(name, f.clock.at)
		f.report(name, group("vg-ssd", 1, 1))
	}
	f.ObserveLease("last", f.clock.at)
	f.report("last", group("vg-ssd", 1, 50))
	if waiting*nodes <= roundLooks {
		t.Fatal("the case is too small")
	}
	if got := f.rounds(q, 1); got != "" {
		t.Errorf("woken %q in the first round, which does not get so far", got)
	}
	if got := f.rounds(q, 1); got != "pod-0" {
		t.Errorf("woken %q in the second, want pod-0", got)
	}
}

func TestLostWaitersAreForgotten(t *testing.T) {
	f, q := full(t)
	f.await(q, 0, 2)
	f.clock.add(waitingFor + time.Second)
	f.Sweep()
	if got := f.Stats().Waiting; got != 0 {
		t.Errorf("%d pods wait that nobody asks about", got)
	}
}

func TestSyncWakesAll(t *testing.T) {
	c, q := &clock{at: start}, newTestQueue()
	f := &fixture{Ledger: New(c.now), clock: c}
	f.await(q, 0, 2)
	f.await(q, 1, 2)
	if got := f.rounds(q, 2); got != "" {
		t.Errorf("woken %q before the sync", got)
	}
	f.MarkSynced()
	if got := f.rounds(q, 2); got != "pod-0 pod-1" {
		t.Errorf("woken %q by the sync, want all", got)
	}
}

// Run wakes at once when space comes free, and lets time pass in the ledger by itself.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue()
		f := &fixture{Ledger: New(time.Now), clock: &clock{at: time.Now()}}
		f.MarkSynced()
		go f.Run(t.Context())
		synctest.Wait()
		f.renew()
		holder := claim("holder", 10)
		f.report("a", group("vg-ssd", 1, 10))
		f.Reserve("a", "other", demand(holder))
		synctest.Wait()
		f.await(q, 0, 2)
		f.Unreserve("a", "other", demand(holder))
		time.Sleep(looseFor + sweepPeriod + time.Second)
		synctest.Wait()
		if len(q.rounds) != 1 {
			t.Errorf("activated %d times after the reservation's time was up, want once", len(q.rounds))
		}
		f.ForgetPod("pod-0")
		f.await(q, 1, 30)
		f.report("a", group("vg-ssd", 2, 40))
		synctest.Wait()
		if len(q.rounds) != 2 {
			t.Errorf("activated %d times, want a second time at once", len(q.rounds))
		}
	})
}
