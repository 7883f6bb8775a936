package capacity

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	berthfake "github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// startLedger starts a ledger on an API in memory, as a scheduler does, and returns it with its log.
func startLedger(t *testing.T, berth *berthfake.Client) (*Ledger, ktesting.Buffer) {
	t.Helper()
	logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true), ktesting.Verbosity(0)))
	ctx := klog.NewContext(t.Context(), logger)
	kube := kubefake.NewSimpleClientset()
	shared := informers.NewSharedInformerFactory(kube, 0)
	l := New(time.Now)
	err := l.Start(ctx, Sources{
		Berth: berth, Kube: kube, Namespace: v1alpha1.Namespace, Shared: shared,
		Resolve: func(*v1.PersistentVolumeClaim) (Claim, bool) { return Claim{}, false },
	})
	if err != nil {
		t.Fatal(err)
	}
	shared.StartWithContext(ctx)
	return l, logger.GetSink().(ktesting.Underlier).GetBuffer()
}

// Without the custom resources the ledger is not ready, says so once for each, and is ready soon after they come.
func TestMissingCustomResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		berth := berthfake.New()
		var missing atomic.Bool
		missing.Store(true)
		berth.SetHook(func(a berthfake.Action) error {
			if !missing.Load() {
				return nil
			}
			return apierrors.NewNotFound(v1alpha1.SchemeGroupVersion.WithResource(a.Resource).GroupResource(), a.Name)
		})
		l, log := startLedger(t, berth)
		time.Sleep(time.Hour)
		if l.Synced() {
			t.Error("synced without the custom resources")
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || strings.Count(log.String(), "not installed") != 2 {
			t.Errorf("the log of an hour without them, want a line for each:\n%s", log.String())
		}
		missing.Store(false)
		time.Sleep(2 * time.Minute)
		if !l.Synced() {
			t.Error("not synced two minutes after the custom resources came")
		}
	})
}

// What the informers drop of an object is nothing that the ledger reads.
func TestStrippedObjectsSayTheSame(t *testing.T) {
	full, lean := newFixture(t), newFixture(t)
	grown := volumeOf(claim("c", 3), "a", v1alpha1.PhaseReady, 2)
	grown.Spec.SizeBytes, grown.Generation, grown.Status.ObservedGeneration = 5*gib, 2, 1
	grown.Labels, grown.Status.Message = map[string]string{"a": "b"}, "all is well"
	storage := &v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "7", Labels: map[string]string{"a": "b"}},
		Status: v1alpha1.NodeStorageStatus{
			ObservedAt: metav1.NewMicroTime(start), VolumeGroups: []v1alpha1.VolumeGroupStatus{group("vg-ssd", 2, 10)},
			DeviceClasses: []v1alpha1.DeviceClassStatus{{Name: "ssd", VolumeGroup: "vg-ssd", Default: true}},
		},
	}
	full.ObserveReport(storage.DeepCopy())
	full.ObserveVolume(grown.DeepCopy())
	leanStorage, _ := stripReport(storage.DeepCopy())
	leanVolume, _ := stripVolume(grown.DeepCopy())
	lean.ObserveReport(leanStorage.(*v1alpha1.NodeStorage))
	lean.ObserveVolume(leanVolume.(*v1alpha1.LogicalVolume))
	if got, want := dump(lean.Ledger), dump(full.Ledger); got != want {
		t.Errorf("from stripped objects:\n%swant\n%s", got, want)
	}
	if got := leanVolume.(*v1alpha1.LogicalVolume); got.Labels != nil || got.Status.Message != "" {
		t.Errorf("not stripped: %+v", got)
	}
}
