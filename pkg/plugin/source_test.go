package plugin

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const snapshots = "snapshot.storage.k8s.io"

// boundTo binds a claim to a PersistentVolume of a driver.
func boundTo(claim *v1.PersistentVolumeClaim, driver, handle string) (*v1.PersistentVolumeClaim, *v1.PersistentVolume) {
	claim.Spec.VolumeName = "pv-" + claim.Name
	volume := &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: claim.Spec.VolumeName}}
	volume.Spec.CSI = &v1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: handle}
	volume.Spec.ClaimRef = &v1.ObjectReference{Namespace: claim.Namespace, Name: claim.Name}
	return claim, volume
}

func logicalVolume(name, node string, change ...func(*v1alpha1.LogicalVolume)) *v1alpha1.LogicalVolume {
	lv := &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.LogicalVolumeSpec{NodeName: node, DeviceClass: "ssd", SizeBytes: gib, State: v1alpha1.StatePresent},
		Status:     v1alpha1.LogicalVolumeStatus{Phase: v1alpha1.PhaseReady, AllocatedBytes: gib},
	}
	for _, f := range change {
		f(lv)
	}
	return lv
}

func snapshotNamed(name string) func(*v1alpha1.LogicalVolume) {
	return func(lv *v1alpha1.LogicalVolume) {
		lv.Spec.Kind, lv.Spec.ClaimRef = v1alpha1.KindSnapshot, v1alpha1.ClaimReference{Namespace: "ns", Name: name}
	}
}

// A pod goes where the sources of its claims are.
func TestPreFilterSources(t *testing.T) {
	original, itsVolume := boundTo(pvc("original", "ours", "1Gi"), v1alpha1.DriverName, "pvc-original")
	lost, lostVolume := boundTo(pvc("lost", "ours", "1Gi"), v1alpha1.DriverName, "pvc-lost")
	foreign, foreignVolume := boundTo(pvc("foreign", "ours", "1Gi"), "other.example.com", "x")
	volumeless, _ := boundTo(pvc("volumeless", "ours", "1Gi"), v1alpha1.DriverName, "pvc-volumeless")
	elsewhere := from(pvc("elsewhere", "ours", "1Gi"), snapshots, "VolumeSnapshot", "on-a")
	namespace := "other"
	elsewhere.Spec.DataSource, elsewhere.Spec.DataSourceRef.Namespace = nil, &namespace
	const claims = "PersistentVolumeClaim"
	objects := []runtime.Object{
		class("ours", nil), original, itsVolume, lost, lostVolume, foreign, foreignVolume, volumeless, elsewhere, pvc("unbound", "ours", "1Gi"),
		from(pvc("restored", "ours", "1Gi"), snapshots, "VolumeSnapshot", "on-a"),
		from(pvc("future", "ours", "1Gi"), snapshots, "VolumeSnapshot", "not-made"),
		onNode(from(pvc("selected", "ours", "1Gi"), snapshots, "VolumeSnapshot", "on-a"), "b"),
		from(pvc("copy", "ours", "1Gi"), "", claims, "original"), from(pvc("of-nothing", "ours", "1Gi"), "", claims, "absent"),
		from(pvc("of-lost", "ours", "1Gi"), "", claims, "lost"), from(pvc("of-foreign", "ours", "1Gi"), "", claims, "foreign"),
		from(pvc("of-volumeless", "ours", "1Gi"), "", claims, "volumeless"), from(pvc("of-unbound", "ours", "1Gi"), "", claims, "unbound"),
	}
	for _, test := range []struct {
		name      string
		claims    []string
		wantText  string // of the rejection
		wantNodes string
	}{
		{"restored", []string{"restored"}, "", "a"},
		{"cloned", []string{"copy"}, "", "b"},
		{"restored and cloned, apart", []string{"restored", "copy"}, "", ""},
		{"selected elsewhere", []string{"selected"}, "", ""},
		{"snapshot is not made", []string{"future"}, `"future": no node is known to hold volumesnapshot "not-made"`, "all"},
		{"snapshot of another namespace", []string{"elsewhere"}, `"on-a" of another namespace`, "all"},
		{"original is not there", []string{"of-nothing"}, `"of-nothing" is to be a copy of "absent": that is not found`, "all"},
		{"original is not bound", []string{"of-unbound"}, "not bound yet", "all"},
		{"original is the pod's own", []string{"of-unbound", "unbound"}, "", "all"},
		{"volume of the original is not there", []string{"of-volumeless"}, `"pv-volumeless" is not found`, "all"},
		{"volume of another driver", []string{"of-foreign"}, "no volume of lvm.berth.dev", "all"},
		{"LogicalVolume is not there", []string{"of-lost"}, `no node is known to hold volume "pvc-lost"`, "all"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, VolumeGroupCapacityArgs{}, objects...)
			f.ledger.ObserveVolume(logicalVolume("snap-1", "a", snapshotNamed("on-a")))
			f.ledger.ObserveVolume(logicalVolume("pvc-original", "b"))
			_, result, status := f.cycle(t, podWith(test.claims...))
			if rejected := test.wantText != ""; rejected != (status.Code() == fwk.UnschedulableAndUnresolvable) || !strings.Contains(status.Message(), test.wantText) {
				t.Errorf("status %v, want %q", status, test.wantText)
			}
			nodes := "all"
			if !result.AllNodes() {
				nodes = strings.Join(result.NodeNames.UnsortedList(), " ")
			}
			if nodes != test.wantNodes {
				t.Errorf("nodes %q, want %q", nodes, test.wantNodes)
			}
		})
	}
}

// A pod that waits for the claim that its own is to be a copy of is told when that changes.
func TestHintsOfOriginals(t *testing.T) {
	original, volume := boundTo(pvc("original", "ours", "1Gi"), v1alpha1.DriverName, "pvc-original")
	f := newFixture(t, VolumeGroupCapacityArgs{}, class("ours", nil), original,
		from(pvc("copy", "ours", "1Gi"), "", "PersistentVolumeClaim", "original"),
		from(pvc("restored", "ours", "1Gi"), snapshots, "VolumeSnapshot", "original"))
	for _, test := range []struct {
		claim string
		want  fwk.QueueingHint
	}{{"copy", fwk.Queue}, {"restored", fwk.QueueSkip}, {"absent", fwk.QueueSkip}} {
		if got, err := f.plugin.isSchedulableAfterClaimChange(klog.Background(), podWith(test.claim), nil, original); err != nil || got != test.want {
			t.Errorf("%s, claim: %v, %v, want %v", test.claim, got, err, test.want)
		}
		if got, err := f.plugin.isSchedulableAfterVolumeChange(klog.Background(), podWith(test.claim), nil, volume); err != nil || got != test.want {
			t.Errorf("%s, volume: %v, %v, want %v", test.claim, got, err, test.want)
		}
	}
}
