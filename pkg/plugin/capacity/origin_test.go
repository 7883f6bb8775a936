package capacity

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// snapshotOf is the LogicalVolume of a VolumeSnapshot ns/name.
func snapshotOf(id, name, node, class string, size int64, phase v1alpha1.VolumePhase) *v1alpha1.LogicalVolume {
	lv := &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: id, UID: types.UID("uid-" + id), CreationTimestamp: metav1.NewTime(start), Generation: 1},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName: node, DeviceClass: class, Kind: v1alpha1.KindSnapshot, SizeBytes: size * gib, State: v1alpha1.StatePresent,
			Source: &v1alpha1.VolumeSource{Name: "pvc-origin"}, ClaimRef: v1alpha1.ClaimReference{Namespace: "ns", Name: name},
		},
		Status: v1alpha1.LogicalVolumeStatus{Phase: phase},
	}
	if phase == v1alpha1.PhaseReady {
		lv.Status.AllocatedBytes = size * gib
		lv.Status.VolumeGroup = v1alpha1.VolumeGroupReference{Name: "vg-ssd", UUID: "uuid-vg-ssd", Seqno: 2}
	}
	return lv
}

func TestOriginNodes(t *testing.T) {
	f := newFixture(t)
	f.report("a", group("vg-ssd", 1, 10))
	f.report("b", group("vg-ssd", 1, 10))
	before := Origin{Namespace: "ns", Snapshot: "before"}
	want := func(s Origin, why string, nodes ...string) {
		t.Helper()
		got := f.OriginNodes(s)
		if len(got) != len(nodes) {
			t.Errorf("%s: on %v, want %v", why, got, nodes)
			return
		}
		for i := range got {
			if got[i] != nodes[i] {
				t.Errorf("%s: on %v, want %v", why, got, nodes)
			}
		}
	}
	want(before, "unknown")
	first := snapshotOf("snap-1", "before", "a", "ssd", 1, v1alpha1.PhasePending)
	f.ObserveVolume(first)
	want(before, "ordered", "a")
	want(Origin{Namespace: "other", Snapshot: "before"}, "of another namespace")
	want(Origin{VolumeID: "snap-1"}, "a snapshot is no volume")

	// The VolumeSnapshot is deleted and made again of a volume elsewhere.
	f.ObserveVolume(snapshotOf("snap-2", "before", "b", "ssd", 1, v1alpha1.PhaseReady))
	want(before, "two of its name", "a", "b")
	first.Spec.State = v1alpha1.StateAbsent
	f.ObserveVolume(first)
	want(before, "the first is ordered away", "b")
	f.ForgetVolume(first, true)
	want(before, "the first is gone", "b")
	f.ObserveVolume(snapshotOf("snap-2", "before", "b", "ssd", 1, v1alpha1.PhaseFailed))
	want(before, "refused")
	f.ForgetVolume(snapshotOf("snap-2", "before", "b", "ssd", 1, v1alpha1.PhaseFailed), true)
	if len(f.snapshots) != 0 {
		t.Errorf("left: %v", f.snapshots)
	}

	volume := volumeOf(claim("c", 1), "b", v1alpha1.PhaseReady, 1)
	f.ObserveVolume(volume)
	want(Origin{VolumeID: volume.Name}, "a volume", "b")
	f.ForgetVolume(volume, false)
	want(Origin{VolumeID: volume.Name}, "its object is gone")
}

// A snapshot takes what changes may come to from anywhere in the volume group, whatever the layout of its class; in a
// thin pool it takes its size virtually. Until a report includes it, it holds that.
func TestSnapshotsCount(t *testing.T) {
	f := newFixture(t)
	f.report("a", group("vg-ssd", 1, 10))
	pending := snapshotOf("snap-1", "before", "a", "ssd", 3, v1alpha1.PhasePending)
	f.ObserveVolume(pending)
	f.wantFree(t, "a", 7, "ordered")
	f.ObserveVolume(snapshotOf("snap-1", "before", "a", "ssd", 3, v1alpha1.PhaseReady))
	f.wantFree(t, "a", 7, "made after the report")
	f.report("a", group("vg-ssd", 2, 7))
	f.wantFree(t, "a", 7, "included")
	// Its growth comes out of the growth reserve: nothing is promised for it.
	grown := snapshotOf("snap-1", "before", "a", "ssd", 3, v1alpha1.PhaseReady)
	grown.Status.AllocatedBytes = 4 * gib
	f.ObserveVolume(grown)
	f.wantFree(t, "a", 7, "grown")
	f.ObserveVolume(snapshotOf("snap-2", "after", "a", "ssd", 3, v1alpha1.PhaseFailed))
	f.wantFree(t, "a", 7, "refused")
	if refusals := f.refusals; refusals != 0 {
		t.Errorf("%d refusals counted; nobody has placed a snapshot", refusals)
	}
}

func TestSnapshotLayouts(t *testing.T) {
	for _, test := range []struct {
		class v1alpha1.DeviceClassStatus
		pools []v1alpha1.ThinPoolStatus
		want  int64
	}{
		{class: v1alpha1.DeviceClassStatus{Layout: "raid1", Mirrors: 2}, want: 3 * gib},
		{class: v1alpha1.DeviceClassStatus{OverheadBytes: gib}, want: 3 * gib},
		{
			class: v1alpha1.DeviceClassStatus{Layout: "thin", ThinPool: "pool", OverprovisionPercent: 200},
			pools: []v1alpha1.ThinPoolStatus{{Name: "pool", SizeBytes: 10 * gib, MetadataSizeBytes: gib}}, want: 0,
		},
	} {
		f := newFixture(t)
		vg := group("vg-ssd", 1, 10)
		vg.ThinPools = test.pools
		class := test.class
		class.Name, class.VolumeGroup = "ssd", "vg-ssd"
		f.ObserveReport(&v1alpha1.NodeStorage{
			ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "1"},
			Status: v1alpha1.NodeStorageStatus{
				ObservedAt: metav1.NewMicroTime(f.clock.at), VolumeGroups: []v1alpha1.VolumeGroupStatus{vg},
				DeviceClasses: []v1alpha1.DeviceClassStatus{class},
			},
		})
		f.ObserveVolume(snapshotOf("snap-1", "before", "a", "ssd", 3, v1alpha1.PhaseAccepted))
		if got := f.nodes["a"].promises["snap-1"].counted.bytes; got != test.want {
			t.Errorf("layout %q: %d bytes of the volume group, want %d", class.Layout, got, test.want)
		}
		thin := class.Layout == "thin"
		// 10 GiB × 200 % less the 3 of the snapshot.
		if left := f.nodes["a"].left["vg-ssd"]; thin && left.FreeBytesFor(class.VolumeLayout()) != 17*gib {
			t.Errorf("%d virtual bytes left, want 17 GiB", left.FreeBytesFor(class.VolumeLayout()))
		}
	}
}

// A pod whose snapshot is not known is woken when it is, and by no other node's free bytes.
func TestWakingForAnOrigin(t *testing.T) {
	f, q := newFixture(t), newTestQueue()
	f.report("a", group("vg-ssd", 1, 10))
	f.report("b", group("vg-ssd", 1, 1))
	f.rounds(q, 2)
	c := claim("c", 5)
	c.Origin = Origin{Namespace: "ns", Snapshot: "before"}
	q.busy = true
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "restored", UID: "restored"}}
	f.Await(pod, demand(c), q, nil)
	f.report("b", group("vg-ssd", 2, 20))
	if woken := f.rounds(q, 2); woken != "" {
		t.Errorf("woken %q by the bytes of a node that does not hold the snapshot", woken)
	}
	f.ObserveVolume(snapshotOf("snap-9", "other", "a", "ssd", 1, v1alpha1.PhaseReady))
	if woken := f.rounds(q, 2); woken != "" {
		t.Errorf("woken %q by another snapshot", woken)
	}
	f.ObserveVolume(snapshotOf("snap-1", "before", "a", "ssd", 1, v1alpha1.PhasePending))
	if woken := f.rounds(q, 2); woken != "restored" {
		t.Errorf("woken %q by the snapshot", woken)
	}
	f.ForgetPod(pod.UID)
	f.Await(&v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "plain"}}, demand(claim("d", 1)), q, nil)
	if f.seekers != 0 {
		t.Errorf("%d waiters with a source, want none", f.seekers)
	}
}

func content(name, driver, snapshot, handle string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": name, "labels": map[string]any{"a": "b"}},
		"spec": map[string]any{
			"driver": driver, "deletionPolicy": "Delete", "source": map[string]any{"volumeHandle": "pvc-x"},
			"volumeSnapshotRef": map[string]any{"namespace": "ns", "name": snapshot},
		},
		"status": map[string]any{"snapshotHandle": handle},
	}}
}

// A snapshot that is known under another name than the one it was made for is found by its content.
func TestContents(t *testing.T) {
	f, q := newFixture(t), newTestQueue()
	f.report("a", group("vg-ssd", 1, 10))
	f.ObserveVolume(snapshotOf("snap-1", "before", "a", "ssd", 1, v1alpha1.PhaseReady))
	f.rounds(q, 2)
	imported := Origin{Namespace: "ns", Snapshot: "imported"}
	c := claim("c", 5)
	c.Origin = imported
	q.busy = true
	f.Await(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "restored", UID: "restored"}}, demand(c), q, nil)
	handler := f.contentHandler()
	add := func(object *unstructured.Unstructured) {
		t.Helper()
		left, err := stripContent(object)
		if err != nil {
			t.Fatal(err)
		}
		if labels := left.(*unstructured.Unstructured).GetLabels(); labels != nil {
			t.Errorf("kept %v", labels)
		}
		handler.OnAdd(left, false)
	}
	add(content("foreign", "other.example.com", "imported", "snap-1"))
	add(content("unmade", v1alpha1.DriverName, "imported", ""))
	if nodes, woken := f.OriginNodes(imported), f.rounds(q, 2); len(nodes) != 0 || woken != "" {
		t.Errorf("on %v, woken %q, by contents that name no snapshot of ours", nodes, woken)
	}
	static := content("static", v1alpha1.DriverName, "imported", "")
	_ = unstructured.SetNestedMap(static.Object, map[string]any{"snapshotHandle": "snap-1"}, "spec", "source")
	add(static)
	if nodes, woken := f.OriginNodes(imported), f.rounds(q, 2); len(nodes) != 1 || nodes[0] != "a" || woken != "restored" {
		t.Errorf("on %v, woken %q, want a and the pod", nodes, woken)
	}
	handler.OnDelete(static)
	if nodes := f.OriginNodes(imported); len(nodes) != 0 || len(f.contents) != 0 || len(f.handles) != 0 {
		t.Errorf("on %v after the content is gone; left %v, %v", nodes, f.contents, f.handles)
	}
}

// Outside a thin pool a fifth of a volume is set aside while it is copied: 1 of 5 GiB.
func TestCopyTakesMore(t *testing.T) {
	for _, test := range []struct {
		name string
		size int64
		from Origin
		want Reason
	}{
		{"not a copy", 10, Origin{}, Fits},
		{"exact", 9, Origin{VolumeID: "pvc-original"}, Fits},
		{"one too many", 10, Origin{VolumeID: "pvc-original"}, TooFewBytes},
		{"of a snapshot", 10, Origin{Namespace: "ns", Snapshot: "before"}, Fits},
		{"of a volume elsewhere", 10, Origin{VolumeID: "pvc-other"}, Fits},
	} {
		f := newFixture(t)
		f.ObserveVolume(volumeOf(claim("original", 5), "a", v1alpha1.PhaseReady, 1))
		f.ObserveVolume(volumeOf(claim("other", 5), "b", v1alpha1.PhaseReady, 1))
		f.report("a", group("vg-ssd", 1, 10))
		c := claim("c", test.size)
		c.Origin = test.from
		if verdict := f.Evaluate("a", demand(c)); verdict.Reason != test.want {
			t.Errorf("%s: %v, want %v", test.name, verdict, test.want)
		}
	}
}
