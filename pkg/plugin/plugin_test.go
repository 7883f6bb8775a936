package plugin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

func TestPreFilter(t *testing.T) {
	bound, deleting, block := pvc("bound", "ours", "1Gi"), pvc("deleting", "ours", "1Gi"), pvc("block", "discard", "1Gi")
	bound.Spec.VolumeName = "pv"
	deleting.DeletionTimestamp, deleting.Finalizers = ptr.To(metav1.Now()), []string{"x/y"}
	block.Spec.VolumeMode = ptr.To(v1.PersistentVolumeBlock)
	populated := from(pvc("populated", "ours", "1Gi"), "forklift.example.com", "Image", "disk")
	immediate, foreign := class("immediate", nil), class("foreign", nil)
	immediate.VolumeBindingMode = ptr.To(storagev1.VolumeBindingImmediate)
	foreign.Provisioner = "other.example.com"
	stranger := pvc("pod-scratch", "ours", "1Gi")
	objects := []runtime.Object{
		class("ours", map[string]string{"deviceClass": "ssd"}), class("typo", map[string]string{"devicClass": "ssd"}),
		class("badmkfs", map[string]string{"mkfsOptions": "-d /etc"}),
		class("badfs", map[string]string{"csi.storage.k8s.io/fstype": "vfat"}), class("discard", map[string]string{"erase": "discard"}),
		immediate, foreign, bound, deleting, block, populated, stranger,
		pvc("one", "ours", "1Gi"), pvc("two", "ours", "2Gi"), pvc("other", "foreign", "1Gi"), pvc("now", "immediate", "1Gi"),
		pvc("typo", "typo", "1Gi"), pvc("badfs", "badfs", "1Gi"), pvc("badmkfs", "badmkfs", "1Gi"), pvc("by-hand", "no-such-class", "1Gi"), pvc("classless", "", "1Gi"),
		onNode(pvc("on-a", "ours", "1Gi"), "a"), onNode(pvc("on-b", "ours", "1Gi"), "b"),
	}
	ephemeral := podWith()
	ephemeral.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: v1.VolumeSource{Ephemeral: &v1.EphemeralVolumeSource{}}}}
	taken := podWith()
	taken.Spec.Volumes = []v1.Volume{{Name: "scratch", VolumeSource: v1.VolumeSource{Ephemeral: &v1.EphemeralVolumeSource{}}}}
	for _, test := range []struct {
		name       string
		pod        *v1.Pod
		wantCode   fwk.Code
		wantText   string
		wantNodes  string
		wantDemand int64 // GiB
	}{
		{"no volumes", podWith(), fwk.Skip, "", "all", 0},
		{"bound", podWith("bound"), fwk.Skip, "", "all", 0},
		{"other provisioner", podWith("other"), fwk.Skip, "", "all", 0},
		{"immediate binding", podWith("now"), fwk.Skip, "", "all", 0},
		{"a class that is only a name", podWith("by-hand"), fwk.Skip, "", "all", 0},
		{"no class", podWith("classless"), fwk.Skip, "", "all", 0},
		{"one", podWith("one", "bound", "other"), fwk.Success, "", "all", 1},
		{"summed", podWith("one", "two"), fwk.Success, "", "all", 3},
		{"one claim mounted twice counts once", podWith("one", "one"), fwk.Success, "", "all", 1},
		{"pinned", podWith("one", "on-a"), fwk.Success, "", "a", 2},
		{"pinned apart", podWith("on-a", "on-b"), fwk.Success, "", "", 2},
		{"missing claim", podWith("one", "absent"), fwk.UnschedulableAndUnresolvable, `persistentvolumeclaim "absent" not found`, "all", 0},
		{"deleting claim", podWith("deleting"), fwk.UnschedulableAndUnresolvable, `"deleting" is being deleted`, "all", 0},
		{"ephemeral claim not made yet", ephemeral, fwk.UnschedulableAndUnresolvable, `waiting for ephemeral volume controller to create the persistentvolumeclaim "pod-data"`, "all", 0},
		{"ephemeral claim of somebody else", taken, fwk.UnschedulableAndUnresolvable, "pod-scratch", "all", 0},
		{"unknown parameter", podWith("typo"), fwk.UnschedulableAndUnresolvable, `storageclass "typo": unknown parameter "devicClass"`, "all", 0},
		{"malformed parameter", podWith("badfs"), fwk.UnschedulableAndUnresolvable, `csi.storage.k8s.io/fstype is "vfat"`, "all", 0},
		{"mkfs option that is not allowed", podWith("badmkfs"), fwk.UnschedulableAndUnresolvable, "mkfs.ext4 -d is not allowed", "all", 0},
		{"block volume of a class that does not zero", podWith("block"), fwk.UnschedulableAndUnresolvable, `erase is "discard"`, "all", 0},
		{"contents that cannot be had", podWith("populated"), fwk.UnschedulableAndUnresolvable, `"populated": lvm.berth.dev cannot make a volume from Image "disk"`, "all", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, VolumeGroupCapacityArgs{}, objects...)
			cycle, result, status := f.cycle(t, test.pod)
			if status.Code() != test.wantCode || !strings.Contains(status.Message(), test.wantText) {
				t.Errorf("status %v, want %v with %q", status, test.wantCode, test.wantText)
			}
			nodes := "all"
			if !result.AllNodes() {
				nodes = strings.Join(result.NodeNames.UnsortedList(), " ")
			}
			if nodes != test.wantNodes {
				t.Errorf("nodes %q, want %q", nodes, test.wantNodes)
			}
			var demand int64
			if s := readState(cycle); s != nil {
				for _, claim := range s.demand.Claims {
					demand += claim.SizeBytes
				}
			}
			if demand != test.wantDemand*gib {
				t.Errorf("demand of %d bytes, want %d GiB", demand, test.wantDemand)
			}
		})
	}
}

// Without a synced ledger only pods with claims of ours wait.
func TestPreFilterBeforeSync(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{}, class("ours", nil), pvc("c", "ours", "1Gi"))
	f.plugin.ledger = capacity.New(time.Now)
	if _, _, status := f.cycle(t, podWith("c")); status.Code() != fwk.UnschedulableAndUnresolvable || status.Message() != ErrReasonNotSynced {
		t.Errorf("pod with a claim of ours: %v", status)
	}
	if _, _, status := f.cycle(t, podWith()); !status.IsSkip() {
		t.Errorf("pod without: %v", status)
	}
}

func TestFilter(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{}, class("ours", nil), class("hdd", map[string]string{"deviceClass": "hdd"}),
		pvc("five", "ours", "5Gi"), pvc("six", "ours", "6Gi"), pvc("hdd", "hdd", "1Gi"))
	f.node("a", 10*gib)
	f.node("silent", 10*gib)
	f.ledger.ForgetLease("silent")
	for _, test := range []struct {
		name   string
		claims []string
		node   string
		want   string // empty: passes
	}{
		{"fits", []string{"five"}, "a", ""},
		{"claims together do not", []string{"five", "six"}, "a", ErrReasonTooFewBytes},
		{"no report", []string{"five"}, "b", ErrReasonNoReport},
		{"silent agent", []string{"five"}, "silent", ErrReasonStaleAgent},
		{"class not served", []string{"hdd"}, "a", ErrReasonClassNotServed},
	} {
		t.Run(test.name, func(t *testing.T) {
			cycle, _, _ := f.cycle(t, podWith(test.claims...))
			status := f.plugin.Filter(t.Context(), cycle, podWith(test.claims...), nodeInfo(test.node))
			if status.Message() != test.want || !status.IsSuccess() && status.Code() != fwk.UnschedulableAndUnresolvable {
				t.Errorf("got %v, want %q", status, test.want)
			}
		})
	}
	if status := f.plugin.Filter(t.Context(), framework.NewCycleState(), podWith(), nodeInfo("b")); !status.IsSuccess() {
		t.Errorf("without PreFilter's state: %v", status)
	}
}

// Scores after normalizing, for a claim of 2 GiB.
func TestScore(t *testing.T) {
	nodes := []fwk.NodeInfo{nodeInfo("a"), nodeInfo("b"), nodeInfo("c"), nodeInfo("unknown")}
	for _, test := range []struct {
		strategy Strategy
		want     []int64
	}{
		// Left: 8, 10 and 18 of 10, 12 and 20 GiB; 100 × 8 ÷ 18 = 44, 100 × 10 ÷ 18 = 55
		{MostFree, []int64{44, 55, 100, 0}},
		// 100 × 8 ÷ 10 = 80, 100 × 8 ÷ 18 = 44
		{LeastFree, []int64{100, 80, 44, 0}},
	} {
		t.Run(string(test.strategy), func(t *testing.T) {
			f := newFixture(t, VolumeGroupCapacityArgs{Strategy: test.strategy}, class("ours", nil), pvc("c", "ours", "2Gi"))
			f.node("a", 10*gib)
			f.node("b", 12*gib)
			f.node("c", 20*gib)
			cycle, _, _ := f.cycle(t, podWith("c"))
			if status := f.plugin.PreScore(t.Context(), cycle, podWith("c"), nodes); !status.IsSuccess() {
				t.Fatalf("PreScore: %v", status)
			}
			scores := make(fwk.NodeScoreList, len(nodes))
			for i, node := range nodes {
				score, status := f.plugin.Score(t.Context(), cycle, podWith("c"), node)
				if !status.IsSuccess() {
					t.Fatalf("Score: %v", status)
				}
				scores[i] = fwk.NodeScore{Name: node.Node().Name, Score: score}
			}
			f.plugin.ScoreExtensions().NormalizeScore(t.Context(), cycle, podWith("c"), scores)
			for i, want := range test.want {
				if scores[i].Score != want {
					t.Errorf("%s: %d, want %d", scores[i].Name, scores[i].Score, want)
				}
			}
		})
	}
}

func TestPreScoreSkips(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{}, class("ours", nil), pvc("c", "ours", "2Gi"))
	with, _, _ := f.cycle(t, podWith("c"))
	without, _, _ := f.cycle(t, podWith())
	if status := f.plugin.PreScore(t.Context(), with, podWith("c"), []fwk.NodeInfo{nodeInfo("a")}); !status.IsSkip() {
		t.Errorf("one node: %v", status)
	}
	if status := f.plugin.PreScore(t.Context(), without, podWith(), []fwk.NodeInfo{nodeInfo("a"), nodeInfo("b")}); !status.IsSkip() {
		t.Errorf("no demand: %v", status)
	}
}

// Skip spares a pod Filter and Score, not Reserve.
func TestReserveAfterSkip(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{})
	cycle, _, _ := f.cycle(t, podWith())
	if status := f.framework.RunReservePluginsReserve(t.Context(), cycle, podWith(), "nowhere"); !status.IsSuccess() {
		t.Errorf("Reserve: %v", status)
	}
	f.framework.RunReservePluginsUnreserve(t.Context(), cycle, podWith(), "nowhere")
	f.plugin.Unreserve(t.Context(), framework.NewCycleState(), podWith(), "nowhere")
}

// A claim that PreFilter saw point to a volume being made may point to nothing when VolumeBinding reads it: the volume
// has been refused, and what VolumeBinding writes is a new promise.
func TestReserveGoesByTheClaimAsItIsNow(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{}, class("fast", nil), pvc("data", "fast", "6Gi"))
	f.node("a", 5*gib)
	f.ledger.ObserveVolume(&v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-data", UID: "1"},
		Spec:       v1alpha1.LogicalVolumeSpec{NodeName: "a", DeviceClass: "ssd", SizeBytes: 6 * gib},
		Status:     v1alpha1.LogicalVolumeStatus{Phase: v1alpha1.PhaseAccepted},
	})
	pod := podWith("data")
	cycle, _, status := f.cycle(t, pod)
	if !status.IsSuccess() {
		t.Fatal(status)
	}
	seen := &readState(cycle).demand.Claims[0]
	seen.SelectedNode, seen.ResourceVersion = "a", seen.ResourceVersion-1
	if status := f.plugin.Reserve(t.Context(), cycle, pod, "a"); status.Code() != fwk.Unschedulable {
		t.Errorf("Reserve: %v, want 6 GiB not to fit 5", status)
	}
}

// Two pods pass Filter on the same bytes, in two profiles with one ledger. One gets them.
func TestTwoProfilesShareTheLedger(t *testing.T) {
	objects := []runtime.Object{class("ours", nil), pvc("x", "ours", "6Gi"), pvc("y", "ours", "6Gi")}
	f, g := newFixture(t, VolumeGroupCapacityArgs{}, objects...), newFixture(t, VolumeGroupCapacityArgs{Strategy: LeastFree}, objects...)
	g.plugin.ledger = f.ledger
	f.node("a", 10*gib)
	x, y := podWith("x"), podWith("y")
	x.UID, y.UID = "x", "y"
	cycleX, _, _ := f.cycle(t, x)
	cycleY, _, _ := g.cycle(t, y)
	for _, status := range []*fwk.Status{
		f.plugin.Filter(t.Context(), cycleX, x, nodeInfo("a")), g.plugin.Filter(t.Context(), cycleY, y, nodeInfo("a")),
	} {
		if !status.IsSuccess() {
			t.Fatalf("Filter: %v", status)
		}
	}
	if status := f.plugin.Reserve(t.Context(), cycleX, x, "a"); !status.IsSuccess() {
		t.Errorf("first: %v", status)
	}
	status := g.plugin.Reserve(t.Context(), cycleY, y, "a")
	if status.Code() != fwk.Unschedulable || status.Message() != ErrReasonTooFewBytes {
		t.Errorf("second: %v", status)
	}
}

func TestEventTellsTheLargestNodes(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{}, class("ours", map[string]string{"deviceClass": "ssd"}), pvc("data-0", "ours", "40Gi"))
	for i, free := range []int64{3, 12, 1, 8} {
		f.node(fmt.Sprintf("node-%d", i), free*gib)
	}
	cycle, _, _ := f.cycle(t, podWith("data-0"))
	for _, node := range []string{"node-0", "node-1", "node-2", "node-3", "silent"} {
		f.plugin.Filter(t.Context(), cycle, podWith("data-0"), nodeInfo(node))
	}
	findings := readState(cycle).findings
	now := time.Now()
	findings.Report(t.Context(), podWith("data-0"), now)
	findings.Report(t.Context(), podWith("data-0"), now.Add(-settleTime))
	findings.Report(t.Context(), podWith("data-0"), now.Add(-settleTime))
	want := "Warning InsufficientVolumeGroupSpace 40 GiB wanted for claim data-0 (device class ssd); largest: " +
		"node-1 vg-lab 12 GiB free, node-3 vg-lab 8 GiB free, node-0 vg-lab 3 GiB free; 1 node(s) cannot serve it at all"
	if got := <-f.recorder.Events; got != want {
		t.Errorf("event\n%s\nwant\n%s", got, want)
	}
	again, _, _ := f.cycle(t, podWith("data-0"))
	f.plugin.Filter(t.Context(), again, podWith("data-0"), nodeInfo("node-0"))
	readState(again).findings.Report(t.Context(), podWith("data-0"), now.Add(-settleTime))
	if len(f.recorder.Events) != 0 {
		t.Errorf("told again at once: %s", <-f.recorder.Events)
	}
}

func TestEventTellsOfTooFewPhysicalVolumes(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{})
	findings := f.plugin.newFindings([]capacity.Claim{{Name: "data-0"}})
	findings.note("a", capacity.Verdict{Reason: capacity.TooFewPhysicalVolumes, DeviceClass: "mirror", VolumeGroup: "vg", WantedBytes: 8 * gib, FreeBytes: 9 * gib})
	findings.note("b", capacity.Verdict{Reason: capacity.TooFewBytes, DeviceClass: "mirror", VolumeGroup: "vg", WantedBytes: 8 * gib, FreeBytes: gib})
	want := "8 GiB wanted for claim data-0 (device class mirror); largest: a vg 9 GiB free on too few physical volumes, b vg 1 GiB free"
	if got := findings.text(); got != want {
		t.Errorf("event %q, want %q", got, want)
	}
}

func TestNoEventWhenANodePassed(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{}, class("ours", nil), pvc("c", "ours", "5Gi"))
	f.node("small", 3*gib)
	f.node("large", 8*gib)
	cycle, _, _ := f.cycle(t, podWith("c"))
	f.plugin.Filter(t.Context(), cycle, podWith("c"), nodeInfo("small"))
	f.plugin.Filter(t.Context(), cycle, podWith("c"), nodeInfo("large"))
	readState(cycle).findings.Report(t.Context(), podWith("c"), time.Now().Add(-settleTime))
	if len(f.recorder.Events) != 0 {
		t.Errorf("event: %s", <-f.recorder.Events)
	}
}

func TestHints(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{})
	pod := podWith("mine")
	pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: "tmp", VolumeSource: v1.VolumeSource{Ephemeral: &v1.EphemeralVolumeSource{}}})
	elsewhere := pvc("mine", "ours", "1Gi")
	elsewhere.Namespace = "other"
	volume := func(claim string) *v1.PersistentVolume {
		return &v1.PersistentVolume{Spec: v1.PersistentVolumeSpec{ClaimRef: &v1.ObjectReference{Namespace: "ns", Name: claim}}}
	}
	claimHint, volumeHint := f.plugin.isSchedulableAfterClaimChange, f.plugin.isSchedulableAfterVolumeChange
	for _, test := range []struct {
		name string
		hint fwk.QueueingHintFn
		new  any
		want fwk.QueueingHint
	}{
		{"own claim", claimHint, pvc("mine", "ours", "1Gi"), fwk.Queue},
		{"own ephemeral claim", claimHint, pvc("pod-tmp", "ours", "1Gi"), fwk.Queue},
		{"another claim", claimHint, pvc("theirs", "ours", "1Gi"), fwk.QueueSkip},
		{"claim of that name in another namespace", claimHint, elsewhere, fwk.QueueSkip},
		{"volume for the own claim", volumeHint, volume("mine"), fwk.Queue},
		{"volume for another claim", volumeHint, volume("theirs"), fwk.QueueSkip},
		{"volume for nobody", volumeHint, &v1.PersistentVolume{}, fwk.QueueSkip},
	} {
		if got, err := test.hint(klog.Background(), pod, nil, test.new); err != nil || got != test.want {
			t.Errorf("%s: %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	if got, err := claimHint(klog.Background(), pod, nil, pod); err == nil || got != fwk.Queue {
		t.Errorf("object of another kind: %v, %v, want Queue and an error", got, err)
	}
	if events, err := f.plugin.EventsToRegister(t.Context()); err != nil || len(events) != 4 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

// Pods that differ in nothing but their name are alike; pods of different claims are not.
func TestSignPod(t *testing.T) {
	f := newFixture(t, VolumeGroupCapacityArgs{})
	sign := func(pod *v1.Pod) string {
		fragments, status := f.plugin.SignPod(t.Context(), pod)
		if !status.IsSuccess() {
			t.Fatal(status)
		}
		return fmt.Sprintf("%+v", fragments)
	}
	other := podWith()
	other.Name = "other"
	if sign(podWith()) != sign(other) {
		t.Error("pods without volumes have different signatures")
	}
	if sign(podWith("a")) == sign(podWith("b")) {
		t.Error("pods of different claims have one signature")
	}
}

func TestFormatBytes(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 5 << 20: "5 MiB", gib - 1: "1023.9 MiB", gib: "1 GiB",
		gib*11 + gib*9/10 + 1: "11.9 GiB", 3 << 40: "3 TiB", 1 << 62: "4 EiB",
	} {
		if got := formatBytes(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}
