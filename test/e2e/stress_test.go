//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// stressPods of mixed sizes at once: one to four units each, 150 units together. Ten units stay free, which is less than
// the largest claim on every node: 2½ times the largest claim on three nodes.
const (
	stressPods  = 60
	stressUnits = 150 + 10
)

// TestStress is not part of e2e but of its own target, for its time.
func TestStress(t *testing.T) {
	t.Run("BerthScheduler", func(t *testing.T) {
		ns := namespace(t)
		allRun(t, ns, mixedBurst(t, ns, schedulerName))
		noFailedProvisioning(t, ns)
	})
	// The scheduler that leads, the controller whose provisioner leads, and the agents beside them die in the middle.
	t.Run("Killed", func(t *testing.T) {
		ns := namespace(t)
		start := mixedBurst(t, ns, schedulerName)
		victims := sets.New(leaderNode(t, "berth-scheduler"), leaderNode(t, "lvm-berth-dev"))
		time.Sleep(4 * time.Second)
		for node := range victims {
			t.Logf("%d processes killed on %s", kill(t.Context(), node, berthPrograms), node)
		}
		allRun(t, ns, start)
		noneRefusedForSpace(t, ns)
	})
	// The stock scheduler places by reports that are minutes old: refusals are expected, over-commitment is not, and in the
	// end all run.
	t.Run("StockScheduler", func(t *testing.T) {
		ns := namespace(t)
		allRun(t, ns, mixedBurst(t, ns, "default-scheduler"))
		t.Logf("%d volumes were refused on the way", len(refusals(t, ns)))
	})
}

// mixedBurst creates the pods and returns when that began.
func mixedBurst(t *testing.T, ns, scheduler string) time.Time {
	t.Helper()
	settled(t)
	var total int64
	for _, node := range nodes {
		total += freeBytes(t, node)
	}
	const extent = 4 << 20
	unit := total / stressUnits / extent * extent
	start := time.Now()
	for i := range stressPods {
		createPodFor(t, scheduler, ns, fmt.Sprintf("pod-%d", i), claim(shippedClass, fmt.Sprint(unit*int64(i%4+1))))
	}
	return start
}

// allRun waits until all of the pods run, and logs how long that took and where they are.
func allRun(t *testing.T, ns string, start time.Time) {
	t.Helper()
	eventually(t, 15*time.Minute, func() string {
		if runs, waits := split(t, ns); len(runs) != stressPods {
			return fmt.Sprintf("%d of %d pods run, %d wait", len(runs), stressPods, len(waits))
		}
		return ""
	})
	pods, err := kube.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	perNode := map[string]int{}
	for i := range pods.Items {
		perNode[pods.Items[i].Spec.NodeName]++
	}
	t.Logf("%d pods run after %s: %v", stressPods, time.Since(start).Round(time.Second), perNode)
}

// leaderNode is the node of the pod that holds a leader election's Lease.
func leaderNode(t *testing.T, election string) string {
	t.Helper()
	lease, err := kube.CoordinationV1().Leases("berth-system").Get(t.Context(), election, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return getPod(t, "berth-system", name).Spec.NodeName
}

func noneRefusedForSpace(t *testing.T, ns string) {
	t.Helper()
	for _, refusal := range refusals(t, ns) {
		t.Error(refusal)
	}
}

// refusals are the events that tell of a volume refused for space.
func refusals(t *testing.T, ns string) []string {
	t.Helper()
	return slices.DeleteFunc(provisioningFailures(t, ns), func(failure string) bool {
		return !strings.Contains(failure, "ResourceExhausted")
	})
}
