//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/plugin"
)

// The limits are ten times the aims, for machines that do other things too; VolumeBinding's poll alone would take half
// a second in the mean.
const (
	boundLimit = time.Second
	freedLimit = 10 * time.Second
)

// From the claim being bound to the pod being bound, 20 pods at a time; and the same with the stock scheduler, whose
// VolumeBinding looks once a second.
func testBoundToBound(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "bound")
	e.addClass(t, "bound", map[string]string{"deviceClass": "bound"})
	nodes := []string{"bound-a", "bound-b", "bound-c"}
	for _, node := range nodes {
		d.addNode(t, node, 30)
	}
	awaitReports(t, e)
	ours := d.boundToBound(t, defaultScheduler, "bound-ours", 6)
	e.addCapacity(t, "bound", "1Gi", nodes...)
	e.startStockScheduler(t)
	stock := d.boundToBound(t, stockScheduler, "bound-stock", 2)
	t.Logf("claim bound to pod bound: %v; stock scheduler: %v", ours, stock)
	if ours.p99 > boundLimit {
		t.Errorf("p99 %v, want at most %v", ours.p99, boundLimit)
	}
}

// boundToBound measures that scheduler over so many waves of 20 pods.
func (d *fakeDriver) boundToBound(t *testing.T, scheduler, prefix string, waves int) spread {
	t.Helper()
	const pods = 20
	times := watchTimes(t, d.environment)
	var latencies []time.Duration
	for wave := range waves {
		name := func(i int) string { return fmt.Sprintf("%s-%d-%d", prefix, wave, i) }
		for i := range pods {
			d.addPodFor(t, scheduler, name(i), "bound", "256Mi")
		}
		for i := range pods {
			d.await(t, 30*time.Second, name(i)+" placed", func(context.Context) (bool, error) {
				return times.placed(name(i)).node != "", nil
			})
			latencies = append(latencies, d.since(t, d.boundAt, name(i)+"-0", times.placed(name(i)).at))
		}
	}
	return spreadOf(latencies)
}

// From a volume being gone from disk, and before its node has reported that, to a waiting pod's claim having that node:
// eight nodes that hold one volume each, three times over.
func testFreedToSelected(t *testing.T, e *environment) {
	const nodes, rounds = 8, 3
	d := newFakeDriver(t, e, "freed")
	e.addClass(t, "freed", map[string]string{"deviceClass": "freed"})
	for i := range nodes {
		d.addNode(t, fmt.Sprintf("freed-node-%d", i), 1)
	}
	awaitReports(t, e)
	times := watchTimes(t, e)
	addRound := func(round int) {
		for i := range nodes {
			e.addPod(t, fmt.Sprintf("freed-%d-%d", round, i), "freed", "1Gi")
		}
	}
	addRound(0)
	e.awaitPlaced(t, "freed-0-", nodes, 20*time.Second)
	var latencies []time.Duration
	for round := 1; round <= rounds; round++ {
		addRound(round)
		for i := range nodes {
			e.awaitEvent(t, fmt.Sprintf("freed-%d-%d", round, i), "FailedScheduling", plugin.ErrReasonTooFewBytes)
		}
		freed := map[string]string{}
		for pod, node := range e.placed(t, fmt.Sprintf("freed-%d-", round-1)) {
			freed[node] = pod
			e.deletePod(pod, 1)
		}
		for pod, node := range e.awaitPlaced(t, fmt.Sprintf("freed-%d-", round), nodes, 20*time.Second) {
			// The claim had its node before the pod had; the watch of claims may be behind.
			e.await(t, 10*time.Second, "selected-node of "+pod, func(context.Context) (bool, error) {
				return times.selected(pod+"-0").node != "", nil
			})
			latencies = append(latencies, d.since(t, d.goneAt, freed[node]+"-0", times.selected(pod+"-0").at))
		}
	}
	s := spreadOf(latencies)
	t.Logf("space freed to selected-node of a waiting pod: %v", s)
	if s.p99 > freedLimit {
		t.Errorf("p99 %v, want at most %v", s.p99, freedLimit)
	}
	if n := d.refusals(); n != 0 {
		t.Errorf("%d volumes refused, want 0", n)
	}
}

// since is the time from what the driver noted of a claim.
func (d *fakeDriver) since(t *testing.T, noted map[string]time.Time, claim string, at time.Time) time.Duration {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	from, ok := noted[claim]
	if !ok || at.IsZero() {
		t.Fatalf("claim %s: from %v to %v", claim, from, at)
	}
	return at.Sub(from)
}
