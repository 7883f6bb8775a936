package volumebinding

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clienttesting "k8s.io/client-go/testing"
	storagehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	intree "k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// pollInterval is that of the in-tree binder.
const pollInterval = time.Second

// world is what a scenario changes while a pod with claims a and b is in PreBind, with a client that no reactor slows.
type world struct {
	t *testing.T
	*handle
	cancel context.CancelFunc
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}

func (w *world) update(claim *v1.PersistentVolumeClaim) {
	_, err := w.client.CoreV1().PersistentVolumeClaims("ns").Update(context.Background(), claim, metav1.UpdateOptions{})
	w.check(err)
}

func (w *world) create(volume *v1.PersistentVolume) {
	_, err := w.client.CoreV1().PersistentVolumes().Create(context.Background(), volume, metav1.CreateOptions{})
	w.check(err)
}

// bind provisions a claim.
func (w *world) bind(name string) {
	w.create(volume(name, nodeName))
	w.update(bound(claim(name, "ours")))
}

// outcome is how PreBind ended, and when, counted from the start of the scenario.
type outcome struct {
	err   error
	after time.Duration
}

// inPreBind runs the scenario while the binder binds a pod's claims a and b, in fake time.
func inPreBind(t *testing.T, inTree bool, scenario func(*world)) outcome {
	var result outcome
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		pod := podWith("a", "b")
		h := newHandle(node(map[string]string{v1alpha1.TopologyKey: nodeName}), class("ours", v1alpha1.DriverName),
			claim("a", "ours"), claim("b", "ours"), pod)
		binder := newTestBinder(t, h, inTree)
		h.factory.Start(ctx.Done())
		h.factory.WaitForCacheSync(ctx.Done())
		defer h.factory.Shutdown()
		defer cancel()

		volumes := reserve(t, binder, pod, h)
		done := make(chan error)
		bindCtx, cancelBind := context.WithCancel(ctx)
		defer cancelBind()
		go func() { done <- binder.BindPodVolumes(bindCtx, pod, volumes) }()
		// The writes have been made and seen.
		time.Sleep(10 * time.Millisecond)
		start := time.Now()
		scenario(&world{t, h, cancelBind})
		result.err = <-done
		result.after = time.Since(start)
	})
	return result
}

func newTestBinder(t *testing.T, h *handle, inTree bool) intree.SchedulerVolumeBinder {
	t.Helper()
	if inTree {
		args, err := defaultArgs().inTree()
		if err != nil {
			t.Fatal(err)
		}
		plugin, err := intree.New(t.Context(), args, h, feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate))
		if err != nil {
			t.Fatal(err)
		}
		return plugin.(*intree.VolumeBinding).Binder
	}
	plugin, err := New(t.Context(), defaultArgs(), h)
	if err != nil {
		t.Fatal(err)
	}
	return plugin.(*VolumeBinding).Binder
}

// reserve goes through the scheduling cycle.
func reserve(t *testing.T, binder intree.SchedulerVolumeBinder, pod *v1.Pod, h *handle) *intree.PodVolumes {
	t.Helper()
	logger := klog.FromContext(t.Context())
	claims, err := binder.GetPodVolumeClaims(logger, pod)
	if err != nil {
		t.Fatal(err)
	}
	node, err := h.factory.Core().V1().Nodes().Lister().Get(nodeName)
	if err != nil {
		t.Fatal(err)
	}
	volumes, reasons, err := binder.FindPodVolumes(logger, pod, claims, node)
	if err != nil || len(reasons) > 0 {
		t.Fatal(reasons, err)
	}
	if allBound, err := binder.AssumePodVolumes(logger, pod, nodeName, volumes); err != nil || allBound {
		t.Fatal(allBound, err)
	}
	return volumes
}

// Whatever ends PreBind in-tree ends it here, in words that begin alike; only without waiting for the next poll.
func TestEndsAsInTree(t *testing.T) {
	for _, test := range []struct {
		name     string
		scenario func(*world)
		want     string
	}{
		{"bound", func(w *world) { w.bind("a"); w.bind("b") }, ""},
		{"volumes seen after their claims", func(w *world) {
			w.update(bound(claim("a", "ours")))
			w.update(bound(claim("b", "ours")))
			time.Sleep(100 * time.Millisecond)
			w.create(volume("a", nodeName))
			w.create(volume("b", nodeName))
		}, ""},
		{"provisioner gives up", func(w *world) {
			w.bind("a")
			claim := claim("b", "ours")
			claim.Annotations = map[string]string{"other": "annotation"}
			w.update(claim)
		}, `binding volumes: provisioning failed for PVC "b"`},
		{"provisioner gives up, no annotation left", func(w *world) {
			w.update(claim("a", "ours"))
		}, `binding volumes: selectedNode annotation reset for PVC "a"`},
		{"another node selected", func(w *world) {
			claim := claim("a", "ours")
			claim.Annotations = map[string]string{storagehelpers.AnnSelectedNode: "other"}
			w.update(claim)
		}, `binding volumes: provisioning failed for PVC "a"`},
		{"claim deleted", func(w *world) {
			w.check(w.client.CoreV1().PersistentVolumeClaims("ns").Delete(context.Background(), "a", metav1.DeleteOptions{}))
		}, "binding volumes: failed to check provisioning pvc: persistentvolumeclaim"},
		{"pod deleted", func(w *world) {
			w.check(w.client.CoreV1().Pods("ns").Delete(context.Background(), "pod", metav1.DeleteOptions{}))
		}, "binding volumes: pod does not exist any more: "},
		{"node deleted", func(w *world) {
			w.check(w.client.CoreV1().Nodes().Delete(context.Background(), nodeName, metav1.DeleteOptions{}))
		}, `binding volumes: failed to get node "node": `},
		{"volume elsewhere", func(w *world) {
			w.create(volume("a", "elsewhere"))
			w.update(bound(claim("a", "ours")))
		}, `binding volumes: pv "pv-a" node affinity doesn't match node "node": `},
		{"node loses its label", func(w *world) {
			w.bind("a")
			node := node(nil)
			node.ResourceVersion = "2"
			_, err := w.client.CoreV1().Nodes().Update(context.Background(), node, metav1.UpdateOptions{})
			w.check(err)
		}, `binding volumes: pv "pv-a" node affinity doesn't match node "node": `},
		{"preempted", func(w *world) { w.cancel() }, "binding volumes: context canceled"},
		{"never provisioned", func(*world) {}, "binding volumes: context deadline exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			theirs := inPreBind(t, true, test.scenario)
			ours := inPreBind(t, false, test.scenario)
			for who, err := range map[string]error{"in-tree": theirs.err, "ours": ours.err} {
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
					t.Errorf("%s: %v, want %q", who, err, test.want)
				}
			}
			// What is left of a poll interval, or nothing.
			if saved := theirs.after - ours.after; saved < 0 || saved > pollInterval {
				t.Errorf("after %v, in-tree after %v", ours.after, theirs.after)
			}
		})
	}
}

// Fake time stands still while anything runs: what takes no time did not wait for a clock.
func TestGoesOnWhenBound(t *testing.T) {
	ours := inPreBind(t, false, func(w *world) {
		time.Sleep(3 * time.Minute)
		w.bind("a")
		time.Sleep(3 * time.Minute)
		w.bind("b")
	})
	if ours.err != nil || ours.after != 6*time.Minute {
		t.Errorf("%v after %v, want none after 6m", ours.err, ours.after)
	}
}

// The in-tree binder looks at the second claim once the first is bound.
func TestRefusalOfAnyClaimEndsTheWait(t *testing.T) {
	ours := inPreBind(t, false, func(w *world) {
		claim := claim("b", "ours")
		claim.Annotations = map[string]string{"other": "annotation"}
		w.update(claim)
	})
	if ours.err == nil || !strings.Contains(ours.err.Error(), `provisioning failed for PVC "b"`) || ours.after != 0 {
		t.Errorf("%v after %v", ours.err, ours.after)
	}
}

// After a failed write the claim is as the API has it, and nothing waits any longer.
func TestFailedWriteIsNotAssumed(t *testing.T) {
	h := newHandle(node(nil), class("ours", v1alpha1.DriverName), claim("a", "ours"), podWith("a"))
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "persistentvolumeclaims"}, "a", errors.New("changed"))
	h.client.PrependReactor("update", "persistentvolumeclaims", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, conflict
	})
	b := newTestBinder(t, h, false).(*binder)
	h.sync(t)
	pod := podWith("a")
	volumes := reserve(t, b, pod, h)
	if err := b.BindPodVolumes(t.Context(), pod, volumes); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want the conflict", err)
	}
	elsewhere := node(nil)
	elsewhere.Name = "elsewhere"
	claims, err := b.GetPodVolumeClaims(klog.FromContext(t.Context()), pod)
	if err != nil {
		t.Fatal(err)
	}
	if _, reasons, err := b.FindPodVolumes(klog.FromContext(t.Context()), pod, claims, elsewhere); err != nil || len(reasons) > 0 {
		t.Errorf("the claim is still assumed on the node: %v, %v", reasons, err)
	}
	if len(b.waiters.byKey) != 0 {
		t.Errorf("%d keys are waited for", len(b.waiters.byKey))
	}
}

// What the in-tree code knows better is left to it.
func TestInTreePathIsKept(t *testing.T) {
	h := newHandle(class("ours", v1alpha1.DriverName), class("migrated", "kubernetes.io/aws-ebs"))
	b := newTestBinder(t, h, false).(*binder)
	h.sync(t)
	provisions := func(class string) []*intree.DynamicProvision {
		return []*intree.DynamicProvision{{PVC: claim("a", class)}}
	}
	none := []*intree.BindingInfo{}
	for _, test := range []struct {
		name string
		in   intree.PodVolumes
		want bool
	}{
		{"provisioned by a CSI driver", intree.PodVolumes{StaticBindings: none, DynamicProvisions: provisions("ours")}, true},
		{"volume made by hand", intree.PodVolumes{StaticBindings: []*intree.BindingInfo{{}}, DynamicProvisions: provisions("ours")}, false},
		{"in-tree name", intree.PodVolumes{StaticBindings: none, DynamicProvisions: provisions("migrated")}, false},
		{"class gone", intree.PodVolumes{StaticBindings: none, DynamicProvisions: provisions("gone")}, false},
		{"never reserved", intree.PodVolumes{}, false},
	} {
		if got := b.onlyProvisions(&test.in); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
