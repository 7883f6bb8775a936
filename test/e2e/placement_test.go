//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const shippedClass = "berth"

// freeBytes returns what the node's report says new volumes can take.
func freeBytes(t *testing.T, node string) int64 {
	t.Helper()
	storage, err := berth.NodeStorages().Get(t.Context(), node, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, vg := range storage.Status.VolumeGroups {
		if vg.Name == volumeGroup {
			return vg.FreeBytes - vg.SpareBytes - vg.GrowthReserveBytes
		}
	}
	t.Fatalf("node %s reports no volume group %s", node, volumeGroup)
	return 0
}

// settled waits until every node's report agrees with LVM on the node.
func settled(t *testing.T) {
	t.Helper()
	for _, node := range nodes {
		eventually(t, time.Minute, func() string {
			out := strings.TrimSpace(onNode(t, node, "vgs --noheadings --nosuffix --units b -o vg_free "+volumeGroup))
			if got := fmt.Sprint(freeBytes(t, node)); got != out {
				return fmt.Sprintf("%s reports %s free bytes, LVM has %s", node, got, out)
			}
			return ""
		})
	}
}

// freest returns the node with the most free bytes.
func freest(t *testing.T) string {
	t.Helper()
	best, most := "", int64(-1)
	for _, node := range nodes {
		if free := freeBytes(t, node); free > most {
			best, most = node, free
		}
	}
	return best
}

func TestPlacementFollowsFreeBytes(t *testing.T) {
	ns := namespace(t)
	settled(t)
	for i := range 4 {
		want := freest(t)
		name := fmt.Sprintf("pod-%d", i)
		createPod(t, ns, name, claim(shippedClass, "3Gi"))
		if got := running(t, ns, name, 3*time.Minute).Spec.NodeName; got != want {
			t.Errorf("%s runs on %s, and %s had the most free bytes", name, got, want)
		}
		settled(t)
	}
}

// A pod's claims are fitted together: two claims that each fit a node, and not both, keep the pod waiting.
func TestClaimsOfOnePodAreSummed(t *testing.T) {
	ns := namespace(t)
	settled(t)
	most := freeBytes(t, freest(t))
	half := fmt.Sprint(most/2 + 4<<20)
	createPod(t, ns, "both", claim(shippedClass, half), claim(shippedClass, half))
	waitsForSpace(t, ns, "both")

	half = fmt.Sprint(most/2 - 4<<20)
	createPod(t, ns, "fitting", claim(shippedClass, half), claim(shippedClass, half))
	running(t, ns, "fitting", 3*time.Minute)
}

// waitsForSpace waits until a pod is refused by every node and its events say why in bytes.
func waitsForSpace(t *testing.T, ns, name string) {
	t.Helper()
	eventually(t, time.Minute, func() string {
		events := eventsOf(t, ns, name)
		if strings.Contains(events, "FailedScheduling") && strings.Contains(events, "free bytes") {
			return ""
		}
		return "events: " + events
	})
	if node := getPod(t, ns, name).Spec.NodeName; node != "" {
		t.Errorf("pod %s, which fits nowhere, is on %s", name, node)
	}
}

// Twenty pods at once over three unequal nodes take 90 % of their bytes: all run, and no CreateVolume is refused.
func TestBurst(t *testing.T) {
	ns := namespace(t)
	settled(t)
	var total int64
	for _, node := range nodes {
		total += freeBytes(t, node)
	}
	const pods = 20
	size := fmt.Sprint(total * 9 / 10 / pods)
	start := time.Now()
	for i := range pods {
		createPod(t, ns, fmt.Sprintf("pod-%d", i), claim(shippedClass, size))
	}
	perNode := map[string]int{}
	for i := range pods {
		perNode[running(t, ns, fmt.Sprintf("pod-%d", i), 5*time.Minute).Spec.NodeName]++
	}
	t.Logf("%d pods run after %s: %v", pods, time.Since(start).Round(time.Second), perNode)
	noFailedProvisioning(t, ns)
}

// noFailedProvisioning fails the test if CreateVolume was refused or failed for any claim of the namespace. A call whose
// time ran out is logged only: the volume was still being made, which is a slow node's doing and no refusal.
func noFailedProvisioning(t *testing.T, ns string) {
	t.Helper()
	for _, failure := range provisioningFailures(t, ns) {
		report := t.Error
		if strings.Contains(failure, "code = DeadlineExceeded") {
			report = t.Log
		}
		report(failure)
	}
}

// provisioningFailures are the claims of the namespace for which CreateVolume failed, with what it said.
func provisioningFailures(t *testing.T, ns string) []string {
	t.Helper()
	events, err := kube.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=ProvisioningFailed"})
	if err != nil {
		t.Fatal(err)
	}
	var failures []string
	for _, event := range events.Items {
		failures = append(failures, event.InvolvedObject.Name+": "+event.Message)
	}
	return failures
}

// Where K pods fit and K+5 ask, K run and 5 wait and are told why; when two pods and their claims go, two of the
// waiting have a node within two seconds of the LVs being gone.
func TestOverSubscription(t *testing.T) {
	ns := namespace(t)
	settled(t)
	const size = 3 << 30
	fit := 0
	for _, node := range nodes {
		fit += int(freeBytes(t, node) / size)
	}
	for i := range fit + 5 {
		createPod(t, ns, fmt.Sprintf("pod-%d", i), claim(shippedClass, fmt.Sprint(size)))
	}
	var runs, waits []string
	eventually(t, 5*time.Minute, func() string {
		runs, waits = split(t, ns)
		if len(runs) == fit && len(waits) == 5 {
			return ""
		}
		return fmt.Sprintf("%d pods run and %d wait; want %d and 5", len(runs), len(waits), fit)
	})
	for _, name := range waits {
		waitsForSpace(t, ns, name)
	}
	noFailedProvisioning(t, ns)

	gone := watchVolumesGo(t, volumeOf(t, ns, runs[0]), volumeOf(t, ns, runs[1]))
	placed := watchClaimsPlaced(t, ns, waits)
	for _, name := range runs[:2] {
		deleteClaimAndPod(t, ns, name)
	}
	lastGone, secondPlaced := within(t, gone, 3*time.Minute), within(t, placed, 3*time.Minute)
	t.Logf("two waiting pods have a node %s after the LVs are gone", secondPlaced.Sub(lastGone).Round(time.Millisecond))
	if secondPlaced.Sub(lastGone) > 2*time.Second {
		t.Errorf("two waiting pods have a node %s after the LVs are gone; want at most 2s", secondPlaced.Sub(lastGone))
	}
	eventually(t, time.Minute, func() string {
		if runs, waits = split(t, ns); len(runs) == fit && len(waits) == 3 {
			return ""
		}
		return fmt.Sprintf("%d pods run and %d wait; want %d and 3", len(runs), len(waits), fit)
	})
	noFailedProvisioning(t, ns)
}

// split names the pods of a namespace that run and those that have no node and were refused one.
func split(t *testing.T, ns string) (runs, waits []string) {
	t.Helper()
	pods, err := kube.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		switch {
		case ready(pod):
			runs = append(runs, pod.Name)
		case pod.Spec.NodeName == "" && unschedulable(pod):
			waits = append(waits, pod.Name)
		}
	}
	return runs, waits
}

func unschedulable(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled {
			return condition.Reason == corev1.PodReasonUnschedulable
		}
	}
	return false
}

func deleteClaimAndPod(t *testing.T, ns, name string) {
	t.Helper()
	if err := kube.CoreV1().PersistentVolumeClaims(ns).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := kube.CoreV1().Pods(ns).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// watchVolumesGo sends the moment at which the last of the LogicalVolumes is gone; the object goes after the LV.
func watchVolumesGo(t *testing.T, names ...string) <-chan time.Time {
	t.Helper()
	moment := make(chan time.Time, 1)
	go func() {
		for t.Context().Err() == nil {
			left := 0
			for _, name := range names {
				if _, err := berth.LogicalVolumes().Get(t.Context(), name, metav1.GetOptions{}); err == nil {
					left++
				}
			}
			if left == 0 {
				moment <- time.Now()
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return moment
}

// watchClaimsPlaced sends the moment at which two of the claims have a node.
func watchClaimsPlaced(t *testing.T, ns string, names []string) <-chan time.Time {
	t.Helper()
	moment := make(chan time.Time, 1)
	go func() {
		for t.Context().Err() == nil {
			placed := 0
			for _, name := range names {
				pvc, err := kube.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), name, metav1.GetOptions{})
				if err == nil && pvc.Annotations["volume.kubernetes.io/selected-node"] != "" {
					placed++
				}
			}
			if placed >= 2 {
				moment <- time.Now()
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return moment
}

func within(t *testing.T, moment <-chan time.Time, limit time.Duration) time.Time {
	t.Helper()
	select {
	case at := <-moment:
		return at
	case <-time.After(limit):
		t.Fatalf("nothing happened within %s", limit)
		return time.Time{}
	}
}

// A class with a parameter that Berth does not know is refused by name, in scheduling already.
func TestUnknownParameterIsRefusedByName(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	class := storageClass(t, "typo", map[string]string{"devceClass": "ssd"})
	createPod(t, ns, "pod", claim(class, "1Gi"))
	eventually(t, time.Minute, func() string {
		if events := eventsOf(t, ns, "pod"); !strings.Contains(events, "devceClass") {
			return "events: " + events
		}
		return ""
	})
	if volumes, err := berth.LogicalVolumes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	} else {
		for _, volume := range volumes.Items {
			if volume.Spec.ClaimRef.Namespace == ns && volume.Status.Phase != v1alpha1.PhaseFailed {
				t.Errorf("LogicalVolume %s was made", volume.Name)
			}
		}
	}
}
