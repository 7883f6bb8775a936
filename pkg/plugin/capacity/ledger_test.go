package capacity

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// One volume's life, with 10 GiB reported and a claim of 3.
func TestVolumeCountsOnceAllItsLife(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	f.wantFree(t, "a", 10, "nothing promised")
	if v := f.Reserve("a", "pod", demand(c)); v.Reason != Fits {
		t.Fatalf("Reserve: %+v", v)
	}
	f.wantFree(t, "a", 7, "reserved")
	f.ObserveClaim(f.selected(c, "a"), false)
	f.wantFree(t, "a", 7, "selected-node seen")
	f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhasePending, 0))
	f.wantFree(t, "a", 7, "LogicalVolume seen")
	f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhaseAccepted, 0))
	f.wantFree(t, "a", 7, "accepted")
	f.report("a", group("vg-ssd", 2, 7, entry(c.VolumeID(), 3)))
	f.wantFree(t, "a", 7, "report includes it")
	f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhaseReady, 2))
	f.wantFree(t, "a", 7, "ready")
	f.ObserveClaim(f.selected(c, "a"), true)
	f.wantFree(t, "a", 7, "bound")
	f.ForgetClaim(c.UID)
	f.wantFree(t, "a", 7, "claim deleted")
	gone := volumeOf(c, "a", v1alpha1.PhaseReady, 2)
	gone.Spec.State = v1alpha1.StateAbsent
	f.ObserveVolume(gone)
	f.wantFree(t, "a", 7, "ordered Absent")
	f.ForgetVolume(gone, true)
	f.wantFree(t, "a", 7, "object gone, report still counts the LV")
	f.report("a", group("vg-ssd", 3, 10))
	f.wantFree(t, "a", 10, "report without it")
}

// The report lists no volume: only seqnos can tell what it includes.
func TestIncludedBySeqno(t *testing.T) {
	c := claim("c", 3)
	for _, test := range []struct {
		name     string
		seqnos   []int64 // of successive reports of 10 GiB
		volume   int64   // the volume's
		wantFree int64
	}{
		{"report is older", []int64{4}, 5, 7},
		{"report is of that moment", []int64{5}, 5, 10},
		{"report is newer", []int64{6}, 5, 10},
		{"restored volume group: the seqno went back, and says nothing", []int64{9, 5}, 5, 7},
		{"restored, and grown past what it was", []int64{9, 5, 9}, 5, 10},
		{"an adopted volume without seqno", []int64{5}, 0, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			for _, seqno := range test.seqnos {
				f.report("a", group("vg-ssd", seqno, 10))
			}
			f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhaseReady, test.volume))
			f.wantFree(t, "a", test.wantFree, "after the volume")
		})
	}
}

// What a volume group's reports say of a volume is told by UUIDs, whatever the names.
func TestVolumeGroupIdentity(t *testing.T) {
	c := claim("c", 3)
	with := func(name, uuid string, seqno, free int64, recent ...v1alpha1.LogicalVolumeEntry) v1alpha1.VolumeGroupStatus {
		g := group(name, seqno, free, recent...)
		g.UUID = uuid
		return g
	}
	for _, test := range []struct {
		name   string
		groups []v1alpha1.VolumeGroupStatus
		want   int64
	}{
		{"another UUID: the volume was lost with its volume group", []v1alpha1.VolumeGroupStatus{with("vg-ssd", "new", 50, 10)}, 10},
		{"no volume of this volume group is in the report yet", []v1alpha1.VolumeGroupStatus{with("vg-ssd", "uuid-vg-ssd", 4, 10)}, 7},
		{"renamed, and another took its name", []v1alpha1.VolumeGroupStatus{
			with("vg-ssd", "new", 50, 10), with("vg-old", "uuid-vg-ssd", 4, 10)}, 10},
		{"split off: the rest keeps UUID and seqno, and shows it gone", []v1alpha1.VolumeGroupStatus{
			with("vg-ssd", "uuid-vg-ssd", 6, 10), with("vg-split", "split", 1, 2)}, 10},
		{"merged into another", []v1alpha1.VolumeGroupStatus{with("vg-ssd", "other", 7, 10)}, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhaseReady, 5))
			f.report("a", test.groups...)
			f.wantFree(t, "a", test.want, "after the report")
		})
	}
}

// The same UUID on two nodes, by disks that were copied: each node's volumes are its own.
func TestClonedVolumeGroup(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 9, 7))
	f.report("b", group("vg-ssd", 4, 10))
	f.ObserveVolume(volumeOf(c, "b", v1alpha1.PhaseReady, 5))
	f.wantFree(t, "a", 7, "another node's volume")
	f.wantFree(t, "b", 7, "seqno 9 is the other node's")
}

// A volume group that was restored: which of its volumes are there is told by the list, or by time.
func TestRestoredVolumeGroup(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 9, 10))
	f.report("a", group("vg-ssd", 5, 10))
	f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhaseReady, 5))
	f.wantFree(t, "a", 7, "the seqno says nothing")
	f.clock.add(clockMargin + time.Second)
	f.report("a", group("vg-ssd", 5, 10))
	f.wantFree(t, "a", 10, "a report taken well after Ready includes what is there")
	f.report("a", group("vg-ssd", 6, 10, entry(c.VolumeID(), 1)))
	f.wantFree(t, "a", 10, "the volume is as small again as it once was, and nobody makes it grow")
}

func TestOlderReportIsPassedOver(t *testing.T) {
	f := newFixture(t)
	f.version = 10
	f.report("a", group("vg-ssd", 5, 4))
	f.version = 3
	f.report("a", group("vg-ssd", 9, 10))
	f.wantFree(t, "a", 4, "an older resourceVersion, whatever its seqno")
}

func TestExpansionHoldsTheDifference(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 2, 7, entry(c.VolumeID(), 3)))
	grown := volumeOf(c, "a", v1alpha1.PhaseReady, 2)
	f.ObserveVolume(grown)
	grown = grown.DeepCopy()
	grown.Spec.SizeBytes, grown.Generation = 5*gib, 2
	f.ObserveVolume(grown)
	f.wantFree(t, "a", 5, "7 less the 2 that are asked for")
	busy := grown.DeepCopy()
	busy.Status.Code, busy.Status.ObservedGeneration = "Aborted", 2
	f.ObserveVolume(busy)
	f.wantFree(t, "a", 5, "the agent tries again, and then takes the bytes")
	refused := grown.DeepCopy()
	refused.Status.Code, refused.Status.ObservedGeneration = "OutOfRange", 2
	f.ObserveVolume(refused)
	f.wantFree(t, "a", 7, "refused")
	f.ObserveVolume(grown)
	f.report("a", group("vg-ssd", 3, 5, entry(c.VolumeID(), 5)))
	f.wantFree(t, "a", 5, "done")
}

func TestUnreserve(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(*fixture, Claim)
		want int64
	}{
		{"the write may have landed", func(*fixture, Claim) {}, 7},
		{"twice", func(f *fixture, c Claim) { f.Unreserve("a", "pod", demand(c)) }, 7},
		{"an event of the version that Reserve used says nothing", func(f *fixture, c Claim) { f.ObserveClaim(c, false) }, 7},
		{"a newer event without selected-node: the write has failed", func(f *fixture, c Claim) {
			f.ObserveClaim(f.selected(c, ""), false)
		}, 10},
		{"a newer event with selected-node: it has landed", func(f *fixture, c Claim) {
			f.ObserveClaim(f.selected(c, "a"), false)
		}, 7},
		{"a newer event with another node", func(f *fixture, c Claim) { f.ObserveClaim(f.selected(c, "b"), false) }, 10},
		{"time is up", func(f *fixture, _ Claim) {
			f.clock.add(looseFor + time.Second)
			f.Sweep()
		}, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, c := newFixture(t), claim("c", 3)
			f.report("a", group("vg-ssd", 1, 10))
			f.report("b", group("vg-ssd", 1, 10))
			f.Reserve("a", "pod", demand(c))
			f.Unreserve("a", "pod", demand(c))
			test.do(f, c)
			f.wantFree(t, "a", test.want, "on the reserved node")
		})
	}
}

func TestUnreserveAlone(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	f.Unreserve("a", "pod", demand(c))
	f.Unreserve("nowhere", "pod", demand(c))
	f.wantFree(t, "a", 10, "Unreserve without Reserve")
}

// A group's placement is tried with Reserve and Unreserve. Nothing of that stays, and nothing of what was before goes.
func TestSimulationLeavesNoTrace(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	simulate := func() {
		f.Simulate("a", "pod", demand(c))
		f.wantFree(t, "a", 7, "simulated")
		f.Unreserve("a", "pod", demand(c))
	}
	empty := dump(f.Ledger)
	simulate()
	if got := dump(f.Ledger); got != empty {
		t.Errorf("after a simulation:\n%swant\n%s", got, empty)
	}
	f.Reserve("a", "pod", demand(c))
	f.Unreserve("a", "pod", demand(c))
	loose := dump(f.Ledger)
	simulate()
	if got := dump(f.Ledger); got != loose {
		t.Errorf("a write may be on its way; after a simulation:\n%swant\n%s", got, loose)
	}
}

func TestTwoPodsOneClaim(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	f.Reserve("a", "pod-1", demand(c))
	f.Reserve("a", "pod-2", demand(c))
	f.wantFree(t, "a", 7, "one volume")
	f.Unreserve("a", "pod-1", demand(c))
	f.wantFree(t, "a", 7, "the other pod's reservation stands")
}

func TestReserveIsAllOrNothing(t *testing.T) {
	f := newFixture(t)
	f.report("a", group("vg-ssd", 1, 10), group("vg-hdd", 1, 2))
	big := claim("hdd", 3)
	big.DeviceClass = "hdd"
	if v := f.Reserve("a", "pod", demand(claim("ssd", 3), big)); v.Reason != TooFewBytes || v.VolumeGroup != "vg-hdd" {
		t.Errorf("Reserve: %+v, want TooFewBytes in vg-hdd", v)
	}
	f.wantFree(t, "a", 10, "nothing of a refused demand is held")
}

func TestEvaluate(t *testing.T) {
	unusable := group("vg-ssd", 1, 10)
	unusable.Usable = false
	spared := group("vg-ssd", 1, 10)
	spared.SpareBytes, spared.GrowthReserveBytes = 2*gib, gib
	closed := group("vg-ssd", 1, 10)
	closed.PhysicalVolumes[0].Allocatable = false
	other, byDefault, unserved := claim("hdd", 1), claim("default", 4), claim("unserved", 1)
	other.DeviceClass, byDefault.DeviceClass, unserved.DeviceClass = "hdd", "", "nvme"
	part := claim("part", 0)
	part.SizeBytes = 9*gib + 1
	for _, test := range []struct {
		name   string
		groups []v1alpha1.VolumeGroupStatus
		claims []Claim
		want   Verdict
	}{
		{"exact", []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10)}, []Claim{claim("c", 10)}, Verdict{}},
		{"rounded up to the last extent", []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10)}, []Claim{part}, Verdict{}},
		{"one too many", []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10)}, []Claim{claim("c", 11)},
			Verdict{Reason: TooFewBytes, DeviceClass: "ssd", VolumeGroup: "vg-ssd", WantedBytes: 11 * gib, FreeBytes: 10 * gib}},
		// 6 + 5 = 11 of 10
		{"claims are summed", []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10)}, []Claim{claim("c", 6), claim("d", 5)},
			Verdict{Reason: TooFewBytes, DeviceClass: "ssd", VolumeGroup: "vg-ssd", WantedBytes: 11 * gib, FreeBytes: 10 * gib}},
		// The default class is ssd: 7 + 4 = 11 of 10
		{"classes of one volume group are summed", []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10)}, []Claim{claim("c", 7), byDefault},
			Verdict{Reason: TooFewBytes, DeviceClass: "ssd", VolumeGroup: "vg-ssd", WantedBytes: 11 * gib, FreeBytes: 10 * gib}},
		{"volume groups are not", []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10), group("vg-hdd", 1, 1)}, []Claim{claim("c", 10), other}, Verdict{}},
		// 10 − 2 spare − 1 growth reserve = 7
		{"spare and growth reserve are not given out", []v1alpha1.VolumeGroupStatus{spared}, []Claim{claim("c", 8)},
			Verdict{Reason: TooFewBytes, DeviceClass: "ssd", VolumeGroup: "vg-ssd", WantedBytes: 8 * gib, FreeBytes: 7 * gib}},
		{"closed physical volume", []v1alpha1.VolumeGroupStatus{closed}, []Claim{claim("c", 1)},
			Verdict{Reason: TooFewBytes, DeviceClass: "ssd", VolumeGroup: "vg-ssd", WantedBytes: gib}},
		{"unusable", []v1alpha1.VolumeGroupStatus{unusable}, []Claim{claim("c", 1)},
			Verdict{Reason: VolumeGroupUnusable, DeviceClass: "ssd", VolumeGroup: "vg-ssd"}},
		{"class not served", []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10)}, []Claim{unserved},
			Verdict{Reason: ClassNotServed, DeviceClass: "nvme"}},
		{"class of a volume group that is not reported", []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10)}, []Claim{other},
			Verdict{Reason: ClassNotServed, DeviceClass: "hdd"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.report("a", test.groups...)
			if got := f.Evaluate("a", demand(test.claims...)); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestUnknownIsNotZero(t *testing.T) {
	f, d := newFixture(t), demand(claim("c", 1))
	if v := f.Evaluate("a", d); v.Reason != NoReport {
		t.Errorf("no report: %+v", v)
	}
	f.report("a", group("vg-ssd", 1, 10))
	f.clock.add(3*time.Minute + time.Second)
	if v := f.Evaluate("a", d); v.Reason != StaleAgent {
		t.Errorf("3 min 1 s after the last sign of life: %+v", v)
	}
	// A renewal counts from its arrival here, whatever the agent's clock says.
	f.ObserveLease("a", start.Add(-time.Hour))
	if v := f.Evaluate("a", d); v.Reason != Fits {
		t.Errorf("renewed: %+v", v)
	}
	f.ForgetReport("a")
	if v := f.Evaluate("a", d); v.Reason != NoReport {
		t.Errorf("report deleted: %+v", v)
	}
}

func TestLeaseAtStartIsBelievedAsWritten(t *testing.T) {
	c := &clock{at: start}
	l := New(c.now)
	l.ObserveLease("dead", start.Add(-time.Hour))
	if n := l.nodes["dead"]; !n.stale(start, 3*time.Minute) {
		t.Error("an hour-old Lease is fresh because it was read just now")
	}
}

// A claim's own promises do not stand in its way: it is pinned to the node where its bytes are.
func TestOwnPromisesAreNotCountedAgainstAClaim(t *testing.T) {
	f, c := newFixture(t), claim("c", 6)
	f.report("a", group("vg-ssd", 1, 10))
	f.Reserve("a", "pod", demand(c))
	c = f.selected(c, "a")
	f.ObserveClaim(c, false)
	if v := f.Evaluate("a", demand(c)); v.Reason != Fits {
		t.Errorf("selected: %+v", v)
	}
	f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhaseAccepted, 0))
	f.report("a", group("vg-ssd", 2, 4, entry(c.VolumeID(), 6)))
	if v := f.Evaluate("a", demand(c)); v.Reason != Fits {
		t.Errorf("made and included, 4 GiB left: %+v", v)
	}
}

func TestDeletedClaimIsBridged(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	f.ObserveClaim(f.selected(c, "a"), false)
	f.ForgetClaim(c.UID)
	f.wantFree(t, "a", 7, "CreateVolume may be running")
	f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhasePending, 0))
	f.clock.add(bridgeFor + time.Second)
	f.Sweep()
	f.wantFree(t, "a", 7, "its LogicalVolume speaks for itself")
	f.ForgetVolume(volumeOf(c, "a", v1alpha1.PhasePending, 0), true)
	f.wantFree(t, "a", 10, "withdrawn before it was accepted")
}

func TestBridgeEndsWithTime(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	f.ObserveClaim(f.selected(c, "a"), false)
	f.ForgetClaim(c.UID)
	f.clock.add(bridgeFor + time.Second)
	f.Sweep()
	f.wantFree(t, "a", 10, "no LogicalVolume came")
}

// An object that vanishes says nothing of the LV.
func TestVanishedVolumeCountsUntilALaterReport(t *testing.T) {
	for _, test := range []struct {
		name    string
		phase   v1alpha1.VolumePhase
		state   v1alpha1.VolumeState
		certain bool
		want    int64
	}{
		{"accepted", v1alpha1.PhaseAccepted, v1alpha1.StatePresent, true, 7},
		{"pending: withdrawn", v1alpha1.PhasePending, v1alpha1.StatePresent, true, 10},
		{"pending when last seen", v1alpha1.PhasePending, v1alpha1.StatePresent, false, 7},
		{"failed", v1alpha1.PhaseFailed, v1alpha1.StatePresent, true, 10},
		{"removed by order", v1alpha1.PhaseAccepted, v1alpha1.StateAbsent, true, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, c := newFixture(t), claim("c", 3)
			f.report("a", group("vg-ssd", 1, 10))
			v := volumeOf(c, "a", test.phase, 0)
			v.Spec.State = test.state
			f.ObserveVolume(v)
			f.ForgetVolume(v, test.certain)
			f.wantFree(t, "a", test.want, "object gone")
			f.clock.add(time.Second)
			f.report("a", group("vg-ssd", 2, 10))
			f.wantFree(t, "a", test.want, "a report within the clocks' margin")
			f.clock.add(clockMargin + time.Second)
			f.report("a", group("vg-ssd", 2, 10))
			f.wantFree(t, "a", 10, "a report taken later")
		})
	}
}

func TestRefusedClaimIsBarred(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	f.clock.add(time.Second)
	failed := volumeOf(c, "a", v1alpha1.PhaseFailed, 0)
	f.ObserveVolume(failed)
	f.wantFree(t, "a", 10, "a refused volume holds nothing")
	if v := f.Evaluate("a", demand(c)); v.Reason != Refused {
		t.Errorf("barred: %+v", v)
	}
	if v := f.Evaluate("a", demand(claim("other", 3))); v.Reason != Fits {
		t.Errorf("another claim: %+v", v)
	}
	f.clock.add(clockMargin)
	f.report("a", group("vg-ssd", 2, 10))
	if v := f.Evaluate("a", demand(c)); v.Reason != Refused {
		t.Errorf("a report that may be older than the order: %+v", v)
	}
	f.clock.add(time.Second)
	f.report("a", group("vg-ssd", 2, 10))
	if v := f.Evaluate("a", demand(c)); v.Reason != Fits {
		t.Errorf("a report taken after the order: %+v", v)
	}
	f.ForgetVolume(failed, true)
	if got := f.Stats().Refusals; got != 1 {
		t.Errorf("%d refusals counted, want 1", got)
	}
}

func TestBarEndsWithTime(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	c = f.selected(c, "a")
	f.ObserveClaim(c, false)
	f.ObserveClaim(f.selected(c, ""), false)
	if v := f.Evaluate("a", demand(c)); v.Reason != Refused {
		t.Errorf("selected-node cleared without a volume: %+v", v)
	}
	f.clock.add(barredFor + time.Second)
	f.Sweep()
	if v := f.Evaluate("a", demand(c)); v.Reason != Fits {
		t.Errorf("time is up: %+v", v)
	}
}

// A claim may be selected on a node that cannot hold it, by another scheduler. Nothing is left there, and no number
// becomes negative.
func TestOverPromisedNodeHasNothingLeft(t *testing.T) {
	f := newFixture(t)
	f.report("a", group("vg-ssd", 1, 10))
	f.ObserveClaim(f.selected(claim("huge", 50), "a"), false)
	f.wantFree(t, "a", 0, "over-promised")
}

func TestForgottenNodesAndClaimsLeaveNothing(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	f.Reserve("a", "pod", demand(c))
	f.ObserveClaim(f.selected(c, "a"), false)
	f.ForgetClaim(c.UID)
	f.ForgetReport("a")
	f.ForgetLease("a")
	f.clock.add(bridgeFor + time.Second)
	f.Sweep()
	if _, ok := f.nodes["a"]; ok || len(f.claims) != 0 || len(f.timed) != 0 {
		t.Errorf("left: %d claims, %d timed, node a %v", len(f.claims), len(f.timed), ok)
	}
}

func TestStatsBySource(t *testing.T) {
	f := newFixture(t)
	f.report("a", group("vg-ssd", 1, 50))
	f.Reserve("a", "pod", demand(claim("reserved", 1)))
	f.ObserveClaim(f.selected(claim("selected", 2), "a"), false)
	f.ObserveVolume(volumeOf(claim("volume", 4), "a", v1alpha1.PhaseAccepted, 0))
	f.ObserveClaim(f.selected(claim("bridged", 8), "a"), false)
	f.ForgetClaim(types.UID("bridged"))
	s := f.Stats()
	for source, want := range map[Source]int64{SourceReserved: 1, SourceSelected: 2, SourceVolume: 4, SourceBridged: 8} {
		if got := s.ReservedBytes[source] / gib; got != want {
			t.Errorf("%s: %d GiB, want %d", source, got, want)
		}
	}
}

// What ranks a node lower than its bytes do: volumes of others that it has yet to make.
func TestBeingMade(t *testing.T) {
	f := newFixture(t)
	f.report("a", group("vg-ssd", 1, 50))
	mine, reserved, selected, ordered := claim("mine", 1), claim("reserved", 1), claim("selected", 1), claim("ordered", 1)
	want := func(count int, why string) {
		t.Helper()
		if left, ok := f.Left("a", demand(mine)); !ok || left.BeingMade != count {
			t.Errorf("%s: %d being made (known: %v), want %d", why, left.BeingMade, ok, count)
		}
	}
	want(0, "quiet node")
	f.Reserve("a", "pod-0", demand(mine))
	want(0, "the pod's own claim")
	f.Reserve("a", "pod-1", demand(reserved))
	f.ObserveClaim(f.selected(selected, "a"), false)
	f.ObserveVolume(volumeOf(ordered, "a", v1alpha1.PhaseAccepted, 0))
	want(3, "reserved, selected, accepted")
	f.ObserveVolume(volumeOf(ordered, "a", v1alpha1.PhaseReady, 2))
	want(2, "one is ready")
	f.ObserveVolume(volumeOf(reserved, "a", v1alpha1.PhaseFailed, 0))
	gone := volumeOf(ordered, "a", v1alpha1.PhaseReady, 2)
	gone.Spec.State = v1alpha1.StateAbsent
	f.ObserveVolume(gone)
	want(2, "refused, but reserved again; one being removed")
}
