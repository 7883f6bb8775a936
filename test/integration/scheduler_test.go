//go:build integration

package integration

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/plugin"
)

// TestScheduler runs all cases on one API server. Each has nodes, a StorageClass and a device class of its own. The
// first needs a cluster without Berth's custom resources and leaves one with them.
func TestScheduler(t *testing.T) {
	e := newEnvironment(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *environment)
	}{
		{"custom resources missing, then there", testCustomResourcesMissing},
		{"placed by bytes left", testPlacedByBytesLeft},
		{"burst is shared out", testSharedOut},
		{"burst at 90 percent is never refused", testBurst},
		{"claims of a pod are summed", testClaimsSummed},
		{"over-subscription: K run, the rest wait and are woken", testOverSubscription},
		{"unknown parameter is refused by name", testUnknownParameter},
		{"unknown device class", testUnknownDeviceClass},
		{"claim bound to pod bound", testBoundToBound},
		{"space freed to selected-node", testFreedToSelected},
		{"preemption leaves no trace", testPreemptionLeavesNoTrace},
		{"stale report", testStaleReport},
		{"claim deleted while provisioning", testDeletedWhileProvisioning},
		{"space freed while a pod comes", testWakeUpRace},
		{"CSIStorageCapacity objects", testStorageCapacityObjects},
		{"scheduler killed in the middle", testKilledScheduler},
		{"leader killed in the middle", testLeaderChange},
		{"metrics", testMetrics},
		// What follows has refused volumes.
		{"refused claim goes elsewhere", testRefusedGoesElsewhere},
		{"refused claim waits", testRefusedWaits},
		{"two schedulers", testTwoSchedulers},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, e) }) {
			t.FailNow()
		}
	}
}

// Pods without claims of ours are placed; a pod with one waits, says why, and is placed once the resources are there.
func testCustomResourcesMissing(t *testing.T, e *environment) {
	e.addNode(t, "early")
	e.addClass(t, "early", map[string]string{"deviceClass": "early"})
	e.addPod(t, "early-plain", "")
	e.awaitPlaced(t, "early-plain", 1, 10*time.Second)
	e.addPod(t, "early-claim", "early", "1Gi")
	e.awaitEvent(t, "early-claim", "FailedScheduling", plugin.ErrReasonNotSynced)

	e.installCustomResources(t)
	d := newFakeDriver(t, e, "early")
	d.addNode(t, "early-served", 10)
	// client-go looks for missing resources at intervals of up to half a minute and more.
	nodes := e.awaitPlaced(t, "early-claim", 1, 90*time.Second)
	if nodes["early-claim"] != "early-served" {
		t.Errorf("placed on %q, want the only node with a report", nodes["early-claim"])
	}
	// The pod is older than the driver, which cleans up first.
	e.deletePod("early-claim", 1)
}

// The nodes have 10, 20 and 30 GiB. One by one, five times 2 GiB go to the last, which then has 20 as the second has; the
// sixth may go to either.
func testPlacedByBytesLeft(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "left")
	e.addClass(t, "left", map[string]string{"deviceClass": "left"})
	d.addNode(t, "left-a", 10)
	d.addNode(t, "left-b", 20)
	d.addNode(t, "left-c", 30)
	awaitReports(t, e)
	var count map[string]int
	for i := range 6 {
		e.addPod(t, fmt.Sprintf("left-%d", i), "left", "2Gi")
		count = perNode(e.awaitPlaced(t, "left-", i+1, 30*time.Second))
		// The scheduler's watch has to tell that the volume is not being made any more.
		time.Sleep(500 * time.Millisecond)
	}
	if count["left-c"] < 5 || count["left-a"] > 0 {
		t.Errorf("pods per node %v, want at least 5 on left-c and none on left-a", count)
	}
	if n := d.refusals(); n != 0 {
		t.Errorf("%d volumes refused, want 0", n)
	}
}

// At once, volumes are shared out as the bytes are.
func testSharedOut(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "shared")
	e.addClass(t, "shared", map[string]string{"deviceClass": "shared"})
	d.addNode(t, "shared-a", 10)
	d.addNode(t, "shared-b", 20)
	d.addNode(t, "shared-c", 30)
	awaitReports(t, e)
	for i := range 30 {
		e.addPod(t, fmt.Sprintf("shared-%02d", i), "shared", "64Mi")
	}
	count := perNode(e.awaitPlaced(t, "shared-", 30, 30*time.Second))
	if count["shared-a"] > 5 || count["shared-c"] < 15 || count["shared-b"] == 0 {
		t.Errorf("pods per node %v, want about 5, 10 and 15", count)
	}
}

// 20 × 2.7 GiB = 54 GiB of 60. Whole volumes per node: 3, 7 and 11, together 21.
func testBurst(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "burst")
	e.addClass(t, "burst", map[string]string{"deviceClass": "burst"})
	d.addNode(t, "burst-a", 10)
	d.addNode(t, "burst-b", 20)
	d.addNode(t, "burst-c", 30)
	awaitReports(t, e)
	start := time.Now()
	for i := range 20 {
		e.addPod(t, fmt.Sprintf("burst-%02d", i), "burst", "2764Mi")
	}
	nodes := e.awaitPlaced(t, "burst-", 20, time.Minute)
	t.Logf("20 pods bound after %v: %v", time.Since(start).Round(time.Millisecond), perNode(nodes))
	if n := d.refusals(); n != 0 {
		t.Errorf("%d volumes refused, want 0", n)
	}
}

// Two claims of 6 GiB fit 10 GiB one by one, not together; of 5 GiB they do, to the last byte.
func testClaimsSummed(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "sum")
	e.addClass(t, "sum", map[string]string{"deviceClass": "sum"})
	d.addNode(t, "sum-a", 10)
	awaitReports(t, e)
	e.addPod(t, "sum-large", "sum", "6Gi", "6Gi")
	t.Log(e.awaitEvent(t, "sum-large", plugin.ReasonInsufficientSpace, "12 GiB wanted", "sum-a vg-sum 10 GiB free"))
	e.addPod(t, "sum-exact", "sum", "5Gi", "5Gi")
	e.awaitPlaced(t, "sum-exact", 1, 20*time.Second)
	if nodes := e.placed(t, "sum-large"); len(nodes) != 0 {
		t.Errorf("sum-large is placed: %v", nodes)
	}
}

// Two nodes of 4 GiB hold four claims of 2 GiB. Nine are asked for: four run, five wait and say why. Two go with their
// claims, and two of the waiting have their node within 2 s of the volumes being gone.
func testOverSubscription(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "over")
	e.addClass(t, "over", map[string]string{"deviceClass": "over"})
	d.addNode(t, "over-a", 4)
	d.addNode(t, "over-b", 4)
	awaitReports(t, e)
	for i := range 9 {
		e.addPod(t, fmt.Sprintf("over-%d", i), "over", "2Gi")
	}
	nodes := e.awaitPlaced(t, "over-", 4, 30*time.Second)
	for i := range 9 {
		pod := fmt.Sprintf("over-%d", i)
		if nodes[pod] != "" {
			continue
		}
		e.awaitEvent(t, pod, "FailedScheduling", plugin.ErrReasonTooFewBytes)
		e.awaitEvent(t, pod, plugin.ReasonInsufficientSpace, "2 GiB wanted for claim "+pod+"-0", "largest: over-")
	}
	if now := e.placed(t, "over-"); len(now) != 4 {
		t.Fatalf("%d pods placed, want 4: %v", len(now), now)
	}
	gone := slices.Sorted(maps.Keys(nodes))[:2]
	for _, pod := range gone {
		e.deletePod(pod, 1)
	}
	e.await(t, 20*time.Second, "volumes gone", func(context.Context) (bool, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.goneAt) == 2, nil
	})
	assigned := d.awaitAssigned(t, "over-", nodes, 2)
	t.Logf("two waiting pods had their nodes %v after the last volume was gone", assigned)
	if assigned > 2*time.Second {
		t.Errorf("the waiting pods had their nodes %v after the volumes were gone, want at most 2s", assigned)
	}
	e.awaitPlaced(t, "over-", 4, 20*time.Second)
	if n := d.refusals(); n != 0 {
		t.Errorf("%d volumes refused, want 0", n)
	}
}

// awaitAssigned waits until the claims of so many pods outside of before have their node, which is when the scheduler
// has decided, and returns the time since the last volume was gone.
func (d *fakeDriver) awaitAssigned(t *testing.T, prefix string, before map[string]string, count int) time.Duration {
	t.Helper()
	var at time.Time
	d.await(t, 30*time.Second, "waiting pods have their nodes", func(ctx context.Context) (bool, error) {
		claims, err := d.kube.CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		chosen := 0
		for _, claim := range claims.Items {
			pod := strings.TrimSuffix(claim.Name, "-0")
			if strings.HasPrefix(pod, prefix) && before[pod] == "" && claim.Annotations["volume.kubernetes.io/selected-node"] != "" {
				chosen++
			}
		}
		at = time.Now()
		return chosen >= count, nil
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	var last time.Time
	for _, gone := range d.goneAt {
		if gone.After(last) {
			last = gone
		}
	}
	return at.Sub(last).Round(time.Millisecond)
}

func testUnknownParameter(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "typo")
	e.addClass(t, "typo", map[string]string{"deviceClass": "typo", "devicClass": "x"})
	d.addNode(t, "typo-a", 10)
	e.addPod(t, "typo-0", "typo", "1Gi")
	t.Log(e.awaitEvent(t, "typo-0", "FailedScheduling", `storageclass "typo"`, `unknown parameter "devicClass"`))
}

func testUnknownDeviceClass(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "served")
	e.addClass(t, "missing", map[string]string{"deviceClass": "missing"})
	d.addNode(t, "served-a", 10)
	e.addPod(t, "missing-0", "missing", "1Gi")
	e.awaitEvent(t, "missing-0", "FailedScheduling", plugin.ErrReasonClassNotServed)
}

func testMetrics(t *testing.T, e *environment) {
	page, err := e.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^berth_scheduler_reserved_bytes\{source="reserved"\} \d`,
		`(?m)^berth_scheduler_rejections_total\{reason="too_few_bytes"\} [1-9]`,
		`(?m)^berth_scheduler_woken_pods_total [1-9]`,
		`(?m)^berth_scheduler_refused_volumes_total 0$`,
		`(?m)^berth_scheduler_report_age_seconds \d`,
		`(?m)^berth_scheduler_decision_duration_seconds_count\{extension_point="Reserve"\} [1-9]`,
	} {
		if !regexp.MustCompile(want).MatchString(page) {
			t.Errorf("/metrics does not match %s", want)
		}
	}
}

// awaitReports waits until the scheduler knows every node that has a report, so that the first pod is ranked rightly.
func awaitReports(t *testing.T, e *environment) {
	t.Helper()
	objects, err := e.berth.NodeStorages().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("berth_scheduler_reports{agent=\"seen\"} %d\n", len(objects.Items))
	e.await(t, 10*time.Second, "scheduler has all reports", func(context.Context) (bool, error) {
		page, err := e.get("/metrics")
		return strings.Contains(page, want), err
	})
}

// perNode counts pods by node.
func perNode(nodes map[string]string) map[string]int {
	count := map[string]int{}
	for _, node := range nodes {
		count[node]++
	}
	return count
}
