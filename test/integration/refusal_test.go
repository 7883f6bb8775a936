//go:build integration

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	storagehelpers "k8s.io/component-helpers/storage/volume"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/plugin"
)

// Of 10 GiB that the first node's report says are free, somebody has taken 9. The claim is refused there, once, and
// goes to the node with fewer bytes that are there.
func testRefusedGoesElsewhere(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "elsewhere")
	e.addClass(t, "elsewhere", map[string]string{"deviceClass": "elsewhere"})
	d.addNode(t, "elsewhere-full", 10)
	d.addNode(t, "elsewhere-free", 5)
	d.mu.Lock()
	d.nodes["elsewhere-full"].unseenBytes = 9 << 30
	d.mu.Unlock()
	awaitReports(t, e)
	e.addPod(t, "elsewhere-0", "elsewhere", "2Gi")
	if nodes := e.awaitPlaced(t, "elsewhere-0", 1, 20*time.Second); nodes["elsewhere-0"] != "elsewhere-free" {
		t.Errorf("placed on %v", nodes)
	}
	if n := d.refusals(); n != 1 {
		t.Errorf("refused %d times, want once", n)
	}
}

// No node has the bytes that its report says it has. The refused claim waits, without a node.
func testRefusedWaits(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "nowhere")
	e.addClass(t, "nowhere", map[string]string{"deviceClass": "nowhere"})
	for _, node := range []string{"nowhere-a", "nowhere-b"} {
		d.addNode(t, node, 10)
		d.mu.Lock()
		d.nodes[node].unseenBytes = 9 << 30
		d.mu.Unlock()
	}
	awaitReports(t, e)
	e.addPod(t, "nowhere-0", "nowhere", "2Gi")
	e.awaitEvent(t, "nowhere-0", plugin.ReasonInsufficientSpace, "2 GiB wanted", "nowhere-a vg-nowhere 1 GiB free", "nowhere-b vg-nowhere 1 GiB free")
	claim, err := e.kube.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "nowhere-0-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if node := claim.Annotations[storagehelpers.AnnSelectedNode]; node != "" {
		t.Errorf("the claim is pinned to %s", node)
	}
	if n := d.refusals(); n != 2 {
		t.Errorf("refused %d times, want once per node", n)
	}
}

// The agent's last sign of life is ten minutes old; then it comes back.
func testStaleReport(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "stale")
	e.addClass(t, "stale", map[string]string{"deviceClass": "stale"})
	d.addNodeSeen(t, "stale-a", 10, time.Now().Add(-10*time.Minute))
	awaitReports(t, e)
	e.addPod(t, "stale-0", "stale", "1Gi")
	e.awaitEvent(t, "stale-0", "FailedScheduling", plugin.ErrReasonStaleAgent)
	renewal := fmt.Appendf(nil, `{"spec":{"renewTime":%q}}`, time.Now().Format(metav1.RFC3339Micro))
	if _, err := e.kube.CoordinationV1().Leases(v1alpha1.Namespace).Patch(t.Context(), v1alpha1.AgentLeasePrefix+"stale-a",
		types.MergePatchType, renewal, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	e.awaitPlaced(t, "stale-0", 1, 10*time.Second)
}

// A claim of 2 of 3 GiB is deleted after its node was chosen and before its volume is made. The volume is made and
// removed; until then its bytes are not given to the next claim.
func testDeletedWhileProvisioning(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "deleted")
	e.addClass(t, "deleted", map[string]string{"deviceClass": "deleted"})
	d.addNode(t, "deleted-a", 3)
	awaitReports(t, e)
	times := watchTimes(t, e)
	release := d.hold()
	defer release()
	e.addPod(t, "deleted-0", "deleted", "2Gi")
	e.await(t, 10*time.Second, "selected-node of the first claim", func(context.Context) (bool, error) {
		return times.selected("deleted-0-0").node != "", nil
	})
	e.deletePod("deleted-0", 1)
	e.addPod(t, "deleted-1", "deleted", "2Gi")
	e.awaitEvent(t, "deleted-1", "FailedScheduling", plugin.ErrReasonTooFewBytes)
	release()
	e.awaitPlaced(t, "deleted-1", 1, 20*time.Second)
	d.mu.Lock()
	gone, selected := d.goneAt["deleted-0-0"], times.selected("deleted-1-0").at
	d.mu.Unlock()
	if gone.IsZero() || selected.Before(gone) {
		t.Errorf("the second claim had its node at %v, the first volume was gone at %v", selected, gone)
	}
	if n := d.refusals(); n != 0 {
		t.Errorf("%d volumes refused, want 0", n)
	}
}

// A pod comes while the volume goes whose bytes it needs, again and again, at every distance of the two. A wake-up lost
// between the pod's Filter and its parking would leave it to the flush of unschedulable pods after five minutes.
func testWakeUpRace(t *testing.T, e *environment) {
	const rounds = 12
	d := newFakeDriver(t, e, "race")
	e.addClass(t, "race", map[string]string{"deviceClass": "race"})
	d.addNode(t, "race-a", 1)
	awaitReports(t, e)
	e.addPod(t, "race-0", "race", "1Gi")
	e.awaitPlaced(t, "race-0", 1, 10*time.Second)
	for round := 1; round <= rounds; round++ {
		pod := e.newPod(t, fmt.Sprintf("race-%d", round), "race", "1Gi")
		e.deletePod(fmt.Sprintf("race-%d", round-1), 1)
		// The volume is gone after 1–100 ms, its report a little later.
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		e.create(t, pod)
		e.awaitPlaced(t, pod.Name, 1, 10*time.Second)
	}
	if n := d.refusals(); n != 0 {
		t.Errorf("%d volumes refused, want 0", n)
	}
}
