//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// speedRounds is how often each thing is measured; medians are printed.
const speedRounds = 15

// TestSpeed prints what a pod's volume costs, each beside its floor in the same run: hack/bench.sh. It fails on no clock.
func TestSpeed(t *testing.T) {
	t.Run("pod start", podStart)
	t.Run("thirty claims", thirtyClaims)
	t.Run("API writes", apiWrites)
}

// podStart compares a pod with a new volume with one without.
func podStart(t *testing.T) {
	ns := namespace(t)
	var plain, with []time.Duration
	stages := map[string][]time.Duration{}
	for i := range speedRounds {
		plain = append(plain, timeline(t, ns, fmt.Sprintf("plain-%d", i))["Running"])
		moments := timeline(t, ns, fmt.Sprintf("with-%d", i), claim(shippedClass, "128Mi"))
		with = append(with, moments["Running"])
		for stage, after := range moments {
			stages[stage] = append(stages[stage], after)
		}
	}
	fmt.Printf("\npod created to Running: without a volume %d ms, with a new one %d ms, difference %d ms; medians of %d\n",
		middle(plain).Milliseconds(), middle(with).Milliseconds(), (middle(with) - middle(plain)).Milliseconds(), speedRounds)
	for _, stage := range []string{"node selected", "LogicalVolume ordered", "LogicalVolume Ready", "claim bound", "pod bound", "Running"} {
		fmt.Printf("  %-22s after %5d ms\n", stage, middle(stages[stage]).Milliseconds())
	}
}

// timeline makes a pod, waits until it runs, removes it, and returns when its stages were seen, from its creation on.
func timeline(t *testing.T, ns, name string, claims ...*corev1.PersistentVolumeClaim) map[string]time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	events := make(chan watch.Event)
	var watching sync.WaitGroup
	for _, open := range []func(context.Context, metav1.ListOptions) (watch.Interface, error){
		kube.CoreV1().Pods(ns).Watch, kube.CoreV1().PersistentVolumeClaims(ns).Watch, berth.LogicalVolumes().Watch,
	} {
		w, err := open(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		watching.Go(func() {
			for event := range w.ResultChan() {
				select {
				case events <- event:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	defer watching.Wait()
	defer cancel()
	seen := map[string]time.Duration{}
	start := time.Now()
	createPod(t, ns, name, claims...)
	for seen["Running"] == 0 {
		select {
		case event := <-events:
			for _, stage := range stagesOf(event.Object, ns, name) {
				if seen[stage] == 0 {
					seen[stage] = time.Since(start)
				}
			}
		case <-ctx.Done():
			t.Fatalf("pod %s does not run: %v", name, seen)
		}
	}
	deletePod(t, ns, name)
	return seen
}

// stagesOf are the stages that an object of a pod's has come through.
func stagesOf(object any, ns, name string) (stages []string) {
	switch o := object.(type) {
	case *corev1.Pod:
		if o.Name == name && o.Spec.NodeName != "" {
			stages = append(stages, "pod bound")
		}
		if o.Name == name && o.Status.Phase == corev1.PodRunning {
			stages = append(stages, "Running")
		}
	case *corev1.PersistentVolumeClaim:
		if o.Name == name && o.Annotations["volume.kubernetes.io/selected-node"] != "" {
			stages = append(stages, "node selected")
		}
		if o.Name == name && o.Status.Phase == corev1.ClaimBound {
			stages = append(stages, "claim bound")
		}
	case *v1alpha1.LogicalVolume:
		if o.Spec.ClaimRef.Namespace != ns || o.Spec.ClaimRef.Name != name {
			break
		}
		stages = append(stages, "LogicalVolume ordered")
		if o.Status.Phase == v1alpha1.PhaseReady {
			stages = append(stages, "LogicalVolume Ready")
		}
	}
	return stages
}

// thirtyClaims compares thirty claims of pods made at once with ten lvcreate in a row on each node at once.
func thirtyClaims(t *testing.T) {
	const each = 10
	begin := time.Now()
	var raw sync.WaitGroup
	for _, node := range nodes {
		raw.Go(func() {
			script := fmt.Sprintf("for i in $(seq %d); do lvcreate -qq -y -n raw-$i -L 128M %s; done", each, volumeGroup)
			if _, err := tryLab(t.Context(), "node", node, "--", "sh", "-ec", script); err != nil {
				t.Error(err)
			}
		})
	}
	raw.Wait()
	floor := time.Since(begin)
	for _, node := range nodes {
		onNode(t, node, fmt.Sprintf("for i in $(seq %d); do lvremove -qq -y %s/raw-$i; done", each, volumeGroup))
	}
	time.Sleep(5 * time.Second) // The agents see what was done by hand.

	ns := namespace(t)
	begin = time.Now()
	for i := range each * len(nodes) {
		createPodAs(t, held, ns, fmt.Sprintf("pod-%d", i), claim(shippedClass, "128Mi"))
	}
	var bound time.Duration
	eventually(t, 5*time.Minute, func() string {
		pvcs, err := kube.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		waiting := slices.DeleteFunc(pvcs.Items, func(pvc corev1.PersistentVolumeClaim) bool { return pvc.Status.Phase == corev1.ClaimBound })
		if bound = time.Since(begin); len(waiting) > 0 {
			return fmt.Sprintf("%d claims are not bound", len(waiting))
		}
		return ""
	})
	fmt.Printf("\n30 claims bound after %.2f s; 10 lvcreate on each of three nodes at once %.2f s; ratio %.2f\n",
		bound.Seconds(), floor.Seconds(), bound.Seconds()/floor.Seconds())
	release := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: holder}}
	if _, err := kube.CoreV1().ConfigMaps(ns).Create(t.Context(), release, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range each * len(nodes) {
		running(t, ns, fmt.Sprintf("pod-%d", i), 5*time.Minute)
	}
}

const holder = "held"

// held makes a pod wait on its node for a ConfigMap: it has its volumes, and no container is started, which takes a node of
// the lab far longer than a volume.
func held(pod *corev1.Pod) {
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: holder, VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: holder}}}})
}

// apiWrites counts the requests that change something, by resource, over the lives of volumes: made, bound, deleted.
func apiWrites(t *testing.T) {
	ns := namespace(t)
	before := writes(t)
	for i := range speedRounds {
		name := fmt.Sprintf("pod-%d", i)
		createPod(t, ns, name, claim(shippedClass, "128Mi"))
		running(t, ns, name, 3*time.Minute)
		id := volumeOf(t, ns, name)
		deleteClaimAndPod(t, ns, name)
		eventually(t, 2*time.Minute, func() string {
			if _, err := kube.CoreV1().PersistentVolumes().Get(t.Context(), id, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Sprintf("PersistentVolume %s is still there (%v)", id, err)
			}
			return ""
		})
	}
	time.Sleep(5 * time.Second)
	after := writes(t)
	fmt.Printf("\nwrites to the API per volume, made, bound, staged and deleted:\n")
	var own float64
	for _, request := range slices.Sorted(maps.Keys(after)) {
		n := (after[request] - before[request]) / speedRounds
		if strings.Contains(request, "logicalvolumes") || strings.Contains(request, "nodestorages") {
			own += n
		}
		// What is less is not the volumes'.
		if n >= 0.5 {
			fmt.Printf("  %-36s %.1f\n", request, n)
		}
	}
	fmt.Printf("  LogicalVolume and NodeStorage        %.1f\n", own)
}

// writes are the requests that the API server has answered that change something, by resource and verb.
func writes(t *testing.T) map[string]float64 {
	t.Helper()
	body, err := kube.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		if !slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE"}, labels["verb"]) {
			continue
		}
		resource := strings.Trim(labels["resource"]+"/"+labels["subresource"], "/")
		sums[labels["verb"]+" "+resource] += metric.GetCounter().GetValue()
	}
	return sums
}

func middle(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(times))[len(times)/2]
}
