package csi

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// The grace of these tests is nothing: every volume is old enough unless a case says otherwise.
func newJanitor(c *cluster, grace time.Duration) (*Janitor, *record.FakeRecorder, *Metrics) {
	recorder := record.NewFakeRecorder(10)
	metrics := NewMetrics(prometheus.NewRegistry())
	return NewJanitor(JanitorOptions{
		Client: c.api, Kubernetes: c.kubernetes, Volumes: c.volumes, Storages: c.storages,
		Events: recorder, Metrics: metrics, Period: time.Hour, Grace: grace,
	}), recorder, metrics
}

func claim(uid types.UID) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data-0", UID: uid}}
}

func namingVolume(handle string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-1"}}
	pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: v1alpha1.DriverName, VolumeHandle: handle}
	return pv
}

func TestJanitor(t *testing.T) {
	const keep, absent, gone = "kept", "ordered Absent", "deleted"
	onGoneNode := func(lv *v1alpha1.LogicalVolume) { lv.Spec.NodeName = "node-9" }
	phase := func(p v1alpha1.VolumePhase) func(*v1alpha1.LogicalVolume) {
		return func(lv *v1alpha1.LogicalVolume) { lv.Status.Phase = p }
	}
	staged := func(lv *v1alpha1.LogicalVolume) { lv.Status.Staged = true }
	ordered := func(lv *v1alpha1.LogicalVolume) { lv.Spec.State = v1alpha1.StateAbsent }
	// Even one that seems to be of a claim that is not there.
	snapshot := func(lv *v1alpha1.LogicalVolume) {
		lv.Spec.Kind, lv.Spec.Source = v1alpha1.KindSnapshot, &v1alpha1.VolumeSource{Name: "v-a"}
	}
	noReads := func(verb, resource string) func(*cluster) {
		return func(c *cluster) {
			c.kubernetes.(*kubefake.Clientset).PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("the API server is away")
			})
		}
	}
	cases := map[string]struct {
		change  []func(*v1alpha1.LogicalVolume)
		claim   *corev1.PersistentVolumeClaim
		pv      *corev1.PersistentVolume
		prepare func(*cluster)
		grace   time.Duration
		want    string
		reason  string
	}{
		"unclaimed":                     {want: absent, reason: reasonUnclaimed},
		"claim replaced":                {claim: claim("other"), want: absent, reason: reasonUnclaimed},
		"claimed":                       {claim: claim(testUID), want: keep},
		"named":                         {pv: namingVolume(testName), want: keep},
		"young":                         {grace: time.Hour, want: keep},
		"staged":                        {change: []func(*v1alpha1.LogicalVolume){staged}, want: keep},
		"being made":                    {change: []func(*v1alpha1.LogicalVolume){phase(v1alpha1.PhaseAccepted)}, want: keep},
		"claim unknown":                 {change: []func(*v1alpha1.LogicalVolume){func(lv *v1alpha1.LogicalVolume) { lv.Spec.ClaimRef.UID = "" }}, want: keep},
		"claims cannot be read":         {prepare: noReads("get", "persistentvolumeclaims"), want: keep},
		"volumes cannot be read":        {prepare: noReads("list", "persistentvolumes"), want: keep},
		"refused":                       {change: []func(*v1alpha1.LogicalVolume){phase(v1alpha1.PhaseFailed)}, want: gone, reason: reasonRefused},
		"node gone":                     {change: []func(*v1alpha1.LogicalVolume){onGoneNode, staged}, claim: claim(testUID), want: gone, reason: reasonNodeDeparted},
		"node gone, named":              {change: []func(*v1alpha1.LogicalVolume){onGoneNode, staged}, pv: namingVolume(testName), want: keep},
		"node gone, named, ordered":     {change: []func(*v1alpha1.LogicalVolume){onGoneNode, ordered}, pv: namingVolume(testName), want: gone, reason: reasonNodeDeparted},
		"node gone, pending":            {change: []func(*v1alpha1.LogicalVolume){onGoneNode, phase("")}, claim: claim(testUID), want: gone, reason: reasonNodeDeparted},
		"node gone, volumes unreadable": {change: []func(*v1alpha1.LogicalVolume){onGoneNode}, prepare: noReads("list", "persistentvolumes"), want: keep},
		"nodes cannot be read":          {change: []func(*v1alpha1.LogicalVolume){onGoneNode, staged}, prepare: noReads("get", "nodes"), want: keep},
		"snapshot":                      {change: []func(*v1alpha1.LogicalVolume){snapshot}, want: keep},
		"snapshot, refused":             {change: []func(*v1alpha1.LogicalVolume){snapshot, phase(v1alpha1.PhaseFailed)}, want: gone, reason: reasonRefused},
		"snapshot, node gone":           {change: []func(*v1alpha1.LogicalVolume){snapshot, onGoneNode}, want: keep},
		"snapshot, node gone, pending":  {change: []func(*v1alpha1.LogicalVolume){snapshot, onGoneNode, phase("")}, want: gone, reason: reasonNodeDeparted},
		"snapshot, node gone, ordered":  {change: []func(*v1alpha1.LogicalVolume){snapshot, onGoneNode, ordered}, want: gone, reason: reasonNodeDeparted},
		"node gone a moment ago":        {change: []func(*v1alpha1.LogicalVolume){onGoneNode, staged}, grace: time.Hour, want: keep},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			c.agent.set(func(a *testAgent) { a.deaf = true })
			ctx := quiet(t)
			if tc.claim != nil {
				if _, err := c.kubernetes.CoreV1().PersistentVolumeClaims("shop").Create(ctx, tc.claim, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if tc.pv != nil {
				if _, err := c.kubernetes.CoreV1().PersistentVolumes().Create(ctx, tc.pv, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if tc.prepare != nil {
				tc.prepare(c)
			}
			stored := c.put(readyVolume(testName, tc.change...))
			janitor, recorder, metrics := newJanitor(c, tc.grace)
			janitor.Sweep(ctx)

			got := keep
			if lv := c.volume(testName); lv == nil {
				got = gone
			} else if lv.Spec.State != stored.Spec.State {
				got = absent
			}
			if got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			wantEvents := 0
			if tc.reason != "" {
				wantEvents = 1
				if n := testutil.ToFloat64(metrics.removals.WithLabelValues(tc.reason)); n != 1 {
					t.Errorf("%v removals counted for %s, want 1", n, tc.reason)
				}
			}
			if len(recorder.Events) != wantEvents {
				t.Errorf("%d events, want %d", len(recorder.Events), wantEvents)
			}
		})
	}
}

// A volume that is staged between the janitor's reads and its order stays.
func TestJanitorLosesToStaging(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.agent.set(func(a *testAgent) { a.deaf = true })
	stored := c.put(readyVolume(testName))
	c.api.SetHook(func(action fake.Action) error {
		if action.Verb == "patch" {
			c.api.SetHook(nil)
			stored.Status.Staged = true
			_, err := c.api.LogicalVolumes().UpdateStatus(context.Background(), stored, metav1.UpdateOptions{})
			return err
		}
		return nil
	})
	janitor, recorder, _ := newJanitor(c, 0)
	janitor.Sweep(quiet(t))
	if lv := c.volume(testName); lv.Spec.State != v1alpha1.StatePresent {
		t.Error("a staged volume was ordered away")
	}
	if len(recorder.Events) != 0 {
		t.Error("an event tells of a removal that was not")
	}
}

// The grace of a departed node counts from when it was first seen gone, and anew when it came back in between.
func TestDepartedNodesGrace(t *testing.T) {
	c := newCluster(t, 10*gib)
	lv := c.put(readyVolume(testName, func(lv *v1alpha1.LogicalVolume) { lv.Spec.NodeName = "node-9" }))
	janitor, _, _ := newJanitor(c, time.Hour)
	all := []*v1alpha1.LogicalVolume{lv}
	ctx := quiet(t)
	if gone := janitor.departedNodes(ctx, all); gone["node-9"] {
		t.Error("departed at first sight")
	}
	janitor.departed["node-9"] = time.Now().Add(-2 * time.Hour)
	if gone := janitor.departedNodes(ctx, all); !gone["node-9"] {
		t.Error("not departed after two hours")
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-9"}}
	if _, err := c.kubernetes.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if gone := janitor.departedNodes(ctx, all); gone["node-9"] || !janitor.departed["node-9"].IsZero() {
		t.Error("a node that is back is still counted as departed")
	}
}
