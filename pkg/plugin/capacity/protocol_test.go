package capacity

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// atVersion is the claim with selected-node (empty for none) at a version.
func atVersion(c Claim, node string, version uint64) Claim {
	c.SelectedNode, c.ResourceVersion = node, version
	return c
}

// Events of several watches come in any order among each other. Each case is an order in which bytes were once free
// while a volume was on its way. The claim is of 3 GiB, its version at Reserve is 10, and node a reports 10 GiB free.
func TestNoGapBetweenSpeakers(t *testing.T) {
	c := atVersion(claim("c", 3), "", 10)
	of := func(uid types.UID, v *v1alpha1.LogicalVolume) *v1alpha1.LogicalVolume { v.UID = uid; return v }
	for _, test := range []struct {
		name string
		do   func(*fixture)
		want int64
	}{
		{"a refusal of the first attempt comes after the second was selected", func(f *fixture) {
			f.ObserveClaim(atVersion(c, "a", 11), false)
			f.ObserveClaim(atVersion(c, "", 12), false)
			f.ObserveClaim(atVersion(c, "a", 13), false)
			f.ObserveVolume(of("1", volumeOf(c, "a", v1alpha1.PhaseFailed, 0)))
		}, 7},
		{"the first attempt's refusal comes while the second's claim is deleted", func(f *fixture) {
			f.ObserveClaim(atVersion(c, "a", 13), false)
			f.ForgetClaim(c.UID)
			f.ObserveVolume(of("1", volumeOf(c, "a", v1alpha1.PhaseAccepted, 0)))
			f.ObserveVolume(of("1", volumeOf(c, "a", v1alpha1.PhaseFailed, 0)))
		}, 7},
		{"the claim is deleted while its volume is refused, and its call orders it again", func(f *fixture) {
			f.ObserveClaim(atVersion(c, "a", 11), false)
			f.ObserveVolume(of("1", volumeOf(c, "a", v1alpha1.PhaseAccepted, 0)))
			f.ForgetClaim(c.UID)
			f.ObserveVolume(of("1", volumeOf(c, "a", v1alpha1.PhaseFailed, 0)))
			f.ForgetVolume(of("1", volumeOf(c, "a", v1alpha1.PhaseFailed, 0)), true)
		}, 7},
		{"reserved again before the first attempt's end was seen", func(f *fixture) {
			f.ObserveClaim(atVersion(c, "a", 11), false)
			f.Reserve("a", "pod", demand(atVersion(c, "", 12)))
			f.ObserveClaim(atVersion(c, "", 12), false)
		}, 7},
		{"reserved again while the first attempt's volume still seems to be made", func(f *fixture) {
			f.ObserveVolume(of("1", volumeOf(c, "a", v1alpha1.PhaseAccepted, 0)))
			f.clock.add(barredFor)
			f.renew()
			f.Reserve("a", "pod", demand(atVersion(c, "", 12)))
			f.ObserveVolume(of("1", volumeOf(c, "a", v1alpha1.PhaseFailed, 0)))
		}, 7},
		{"an older event names the node, the write of the reservation is still to come", func(f *fixture) {
			f.Reserve("a", "pod", demand(atVersion(c, "", 12)))
			f.ObserveClaim(atVersion(c, "a", 11), false)
			f.ObserveClaim(atVersion(c, "", 12), false)
		}, 7},
		{"selected and bound are seen as one", func(f *fixture) {
			f.Reserve("a", "pod", demand(c))
			f.ObserveClaim(atVersion(c, "a", 15), true)
		}, 7},
		{"a claim of another scheduler is seen first when it is bound", func(f *fixture) {
			f.ObserveClaim(atVersion(c, "a", 15), true)
		}, 7},
		{"the claim is deleted while its write is on its way", func(f *fixture) {
			f.Reserve("a", "pod", demand(c))
			f.ForgetClaim(c.UID)
			f.Unreserve("a", "pod", demand(c))
			f.clock.add(looseFor + time.Second)
			f.Sweep()
		}, 7},
		{"it has grown, and the report is of before", func(f *fixture) {
			f.report("a", group("vg-ssd", 4, 10))
			f.ObserveVolume(of("1", volumeOf(atVersion(claim("c", 2), "", 1), "a", v1alpha1.PhaseReady, 4)))
			f.clock.add(time.Hour)
			f.renew()
			f.report("a", group("vg-ssd", 4, 10))
			grown := of("1", volumeOf(claim("c", 5), "a", v1alpha1.PhaseReady, 5))
			f.ObserveVolume(grown)
		}, 7},
		{"it vanished with its volume group, and is made again in the new one", func(f *fixture) {
			f.ObserveClaim(atVersion(c, "a", 11), false)
			v := volumeOf(c, "a", v1alpha1.PhaseReady, 1)
			f.ObserveVolume(v)
			f.ForgetVolume(v, true)
			remade := group("vg-ssd", 1, 10)
			remade.UUID = "another"
			f.report("a", remade)
		}, 7},
		{"deleted and made again for another node, unseen", func(f *fixture) {
			f.report("b", group("vg-ssd", 1, 10))
			f.ObserveVolume(of("1", volumeOf(c, "a", v1alpha1.PhasePending, 0)))
			f.ObserveVolume(of("2", volumeOf(c, "b", v1alpha1.PhasePending, 0)))
		}, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.report("a", group("vg-ssd", 1, 10))
			test.do(f)
			f.wantFree(t, "a", test.want, "in the end")
		})
	}
}

// A pod whose claim was refused comes again before the refusal of its LogicalVolume is seen. The volume that seems to be
// there is no reason to send it where the bytes no longer are.
func TestRefusedClaimComesAgainEarly(t *testing.T) {
	f, c := newFixture(t), atVersion(claim("c", 4), "", 12)
	f.report("a", group("vg-ssd", 1, 10))
	f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhaseAccepted, 0))
	f.report("a", group("vg-ssd", 2, 2))
	if v := f.Evaluate("a", demand(c)); v.Reason != TooFewBytes {
		t.Errorf("selected nowhere: %+v, want too few bytes", v)
	}
	if v := f.Evaluate("a", demand(atVersion(c, "a", 11))); v.Reason != Fits {
		t.Errorf("selected here: %+v, want the volume's node", v)
	}
	f.report("a", group("vg-ssd", 3, 2, entry(c.VolumeID(), 4)))
	if v := f.Evaluate("a", demand(c)); v.Reason != Fits {
		t.Errorf("made already: %+v, want the volume's node", v)
	}
}

// After a restart the report may list a volume before its LogicalVolume was seen. Its claim needs nothing more.
func TestListedVolumeNeedsNoSecondPlace(t *testing.T) {
	f, c := newFixture(t), atVersion(claim("c", 6), "a", 11)
	f.ObserveClaim(c, false)
	f.report("a", group("vg-ssd", 2, 4, entry(c.VolumeID(), 6)))
	if v := f.Evaluate("a", demand(c)); v.Reason != Fits {
		t.Errorf("%+v, want the volume's node", v)
	}
}

// What ends a reservation must end it for good: no event comes later that would.
func TestReservationsEnd(t *testing.T) {
	c := atVersion(claim("c", 3), "", 10)
	for _, test := range []struct {
		name string
		do   func(*fixture)
	}{
		{"selected and bound at once, made, removed", func(f *fixture) {
			f.Reserve("a", "pod", demand(c))
			f.ObserveClaim(atVersion(c, "a", 15), true)
			v := volumeOf(c, "a", v1alpha1.PhaseReady, 2)
			f.ObserveVolume(v)
			f.ForgetClaim(c.UID)
			v = v.DeepCopy()
			v.Spec.State = v1alpha1.StateAbsent
			f.ObserveVolume(v)
			f.ForgetVolume(v, true)
		}},
		{"selected, bound and deleted are seen as one", func(f *fixture) {
			f.Reserve("a", "pod", demand(c))
			f.ForgetClaim(c.UID)
			f.clock.add(bridgeFor + time.Second)
			f.Sweep()
			f.renew()
		}},
		{"bound before it was reserved", func(f *fixture) {
			f.ObserveClaim(atVersion(c, "a", 11), false)
			f.ObserveVolume(volumeOf(c, "a", v1alpha1.PhaseReady, 1))
			f.ObserveClaim(atVersion(c, "a", 12), true)
			f.Reserve("a", "pod", demand(atVersion(c, "a", 11)))
		}},
		{"pinned: the write changes nothing, then it is refused", func(f *fixture) {
			f.ObserveClaim(atVersion(c, "a", 11), false)
			f.Reserve("a", "pod", demand(atVersion(c, "a", 11)))
			f.ObserveClaim(atVersion(c, "", 12), false)
		}},
		{"the claim had changed before it was un-reserved", func(f *fixture) {
			f.Reserve("a", "pod", demand(c))
			f.ObserveClaim(atVersion(c, "b", 11), false)
			f.Unreserve("a", "pod", demand(c))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.report("a", group("vg-ssd", 1, 10))
			test.do(f)
			f.wantFree(t, "a", 10, "in the end")
			if n := f.nodes["a"]; len(f.reservedOn) != 0 || len(n.open) != 0 {
				t.Errorf("left: reserved on %v, open %v", f.reservedOn, n.open)
			}
		})
	}
}

// A report whose agent's clock is off is unknown, and its time ends nothing.
func TestClockOff(t *testing.T) {
	f, c := newFixture(t), claim("c", 3)
	f.report("a", group("vg-ssd", 1, 10))
	v := volumeOf(c, "a", v1alpha1.PhaseAccepted, 0)
	f.ObserveVolume(v)
	f.ForgetVolume(v, true)
	off := &v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "50"},
		Status: v1alpha1.NodeStorageStatus{
			ObservedAt: metav1.NewMicroTime(f.clock.at.Add(time.Hour)), VolumeGroups: []v1alpha1.VolumeGroupStatus{group("vg-ssd", 1, 10)},
			DeviceClasses: []v1alpha1.DeviceClassStatus{{Name: "ssd", VolumeGroup: "vg-ssd", Default: true}},
			Conditions:    []metav1.Condition{{Type: v1alpha1.NodeStorageClockInSync, Status: metav1.ConditionFalse}},
		},
	}
	f.ObserveReport(off)
	if verdict := f.Evaluate("a", demand(claim("d", 1))); verdict.Reason != ClockOff {
		t.Errorf("clock off: %+v", verdict)
	}
	if got := f.Stats(); got.ClockOff != 1 || got.Tombstones[TombstoneVanished] != 1 {
		t.Errorf("stats %+v, want one clock off and the vanished volume kept", got)
	}
	f.version = 60
	f.report("a", group("vg-ssd", 1, 10))
	f.wantFree(t, "a", 7, "right again: a report within the margin says nothing of the volume that vanished")
}

// Refusals are counted once, for lack of space only, and not those of before.
func TestRefusalsCounted(t *testing.T) {
	c := &clock{at: start}
	f := &fixture{Ledger: New(c.now), clock: c}
	old := volumeOf(claim("old", 1), "a", v1alpha1.PhaseFailed, 0)
	f.ObserveVolume(old)
	f.MarkSynced()
	f.ObserveVolume(old)
	invalid := volumeOf(claim("invalid", 1), "a", v1alpha1.PhaseFailed, 0)
	invalid.Status.Code = "InvalidArgument"
	f.ObserveVolume(invalid)
	first := volumeOf(claim("c", 1), "a", v1alpha1.PhaseFailed, 0)
	first.UID = "1"
	second := first.DeepCopy()
	second.UID = "2"
	for _, v := range []*v1alpha1.LogicalVolume{first, first, second} {
		f.ObserveVolume(v)
	}
	f.ForgetVolume(second, true)
	if got := f.Stats().Refusals; got != 2 {
		t.Errorf("%d refusals counted, want 2", got)
	}
}
