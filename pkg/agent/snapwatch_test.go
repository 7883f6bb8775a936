package agent

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const withReserve = `
volumeGroups:
- name: vg0
  spare: 1Gi
  growthReserve: 12Mi
deviceClasses:
- {name: ssd, volumeGroup: vg0, default: true}
`

// wantValid fails the test unless the snapshot's condition SnapshotValid has this status and reason.
func (r *rig) wantValid(name string, status metav1.ConditionStatus, reason string) {
	r.t.Helper()
	c := meta.FindStatusCondition(r.get(name).Status.Conditions, v1alpha1.LogicalVolumeSnapshotValid)
	if c == nil || c.Status != status || c.Reason != reason {
		r.t.Fatalf("%s: %+v, want %s for %s", name, c, status, reason)
	}
}

// A snapshot that fills up is extended out of the growth reserve, then it warns, then its bytes are lost.
func TestSnapshotFillsUp(t *testing.T) {
	withVolume(t, func(r *rig) {
		r.writeConfig(withReserve)
		r.create(snapshotOrder("s"))
		r.wait(20 * time.Second)
		r.wantReady("s")
		// Nobody may have what others were promised: all that is free is the reserve.
		if err := r.manager.AddLogicalVolume("vg0", "host", 9*gi-volumeBytes-16*mi-12*mi); err != nil {
			t.Fatal(err)
		}
		r.sawEvent("")
		r.manager.SetSnapshotUsed("vg0", "s", 12*mi)
		r.wait(20 * time.Second)
		// A fifth of 32 MiB is 2 extents, rounded up.
		if lv := r.wantReady("s"); lv.Status.AllocatedBytes != 24*mi || lv.Spec.SizeBytes != 16*mi {
			t.Errorf("%+v, want 24 MiB", lv.Status)
		}
		r.manager.SetSnapshotUsed("vg0", "s", 22*mi)
		r.wait(30 * time.Second)
		if lv := r.wantReady("s"); lv.Status.AllocatedBytes != 28*mi {
			t.Errorf("%+v, want 28 MiB: the rest of the reserve", lv.Status)
		}
		r.wantValid("s", metav1.ConditionTrue, v1alpha1.ReasonSnapshotNearlyFull)
		if !r.sawEvent(v1alpha1.ReasonSnapshotNearlyFull) {
			t.Error("no event warns")
		}
		r.manager.SetSnapshotUsed("vg0", "s", 29*mi)
		r.wait(time.Minute)
		r.wantValid("s", metav1.ConditionFalse, v1alpha1.ReasonSnapshotOverflow)
		if n := r.countEvents("VolumeSnapshot", v1alpha1.ReasonSnapshotOverflow); n != 1 {
			t.Errorf("%d events on the VolumeSnapshot, want one", n)
		}
		if free := r.disk().FreeBytes; free != gi {
			t.Errorf("%d bytes free, want the spare 1 GiB", free)
		}
	})
}

// countEvents counts the events on objects of a kind; the recorder writes it behind the message.
func (r *rig) countEvents(kind, reason string) int {
	n := 0
	for {
		select {
		case event := <-r.events.Events:
			if strings.Contains(event, reason) && strings.Contains(event, kind) {
				n++
			}
		default:
			return n
		}
	}
}

// One that can hold all of its volume neither grows nor warns.
func TestFullSizeSnapshotNeverWarns(t *testing.T) {
	withVolume(t, func(r *rig) {
		r.create(snapshotOrder("s", sized(gi)))
		r.wait(5 * time.Second)
		r.manager.SetSnapshotUsed("vg0", "s", 33*mi)
		r.wait(30 * time.Second)
		if lv := r.wantReady("s"); lv.Status.AllocatedBytes != 36*mi || meta.FindStatusCondition(lv.Status.Conditions, v1alpha1.LogicalVolumeSnapshotValid) != nil {
			t.Errorf("%+v, want 36 MiB and no warning", lv.Status)
		}
	})
}
