package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

const legged = `
volumeGroups: [{name: vg0}]
deviceClasses:
- {name: ssd, volumeGroup: vg0}
- {name: striped, volumeGroup: vg0, layout: {type: striped}}
- {name: raid1, volumeGroup: vg0, layout: {type: raid1}}
- {name: raid5, volumeGroup: vg0, layout: {type: raid5}}
- {name: raid6, volumeGroup: vg0, layout: {type: raid6}}
- {name: raid10, volumeGroup: vg0, layout: {type: raid10}}
- {name: secret, volumeGroup: vg0, encryption: luks2}
`

// withLegs starts a node whose vg0 has five physical volumes of 10 GiB.
func withLegs(t *testing.T, test func(r *rig)) {
	t.Helper()
	inBubble(t, func(r *rig) {
		r.manager.AddVolumeGroup("vg0", 10*gi, 10*gi, 10*gi, 10*gi, 10*gi)
		r.writeConfig(legged)
		r.start()
		test(r)
	})
}

func ofClass(class string) func(*v1alpha1.LogicalVolume) {
	return func(lv *v1alpha1.LogicalVolume) { lv.Spec.DeviceClass = class }
}

func asBlock(lv *v1alpha1.LogicalVolume) { lv.Spec.FSType, lv.Spec.Erase = "", v1alpha1.EraseZero }

// wantCondition fails the test unless a volume's condition has this status and reason; no condition is true.
func (r *rig) wantCondition(name, conditionType string, status metav1.ConditionStatus, reason string) {
	r.t.Helper()
	c := meta.FindStatusCondition(r.get(name).Status.Conditions, conditionType)
	if c == nil {
		c = &metav1.Condition{Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	}
	if c.Status != status || c.Reason != reason {
		r.t.Errorf("%s: condition %+v, want %s %s for %s", name, c, conditionType, status, reason)
	}
}

func TestLayouts(t *testing.T) {
	for _, test := range []struct {
		class string
		legs  int
		// extents are of 1 GiB and a byte, 257 extents, and of each leg; grown of 2 GiB and a byte.
		extents, leg, grown int64
	}{
		{"striped", 2, 258, 129, 514},
		{"raid1", 2, 257, 258, 513},
		{"raid5", 3, 258, 130, 514},
		{"raid6", 5, 258, 87, 513},
		{"raid10", 4, 258, 130, 514},
	} {
		t.Run(test.class, func(t *testing.T) {
			withLegs(t, func(r *rig) {
				size := func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = gi + 1 }
				ran := r.executions(func() {
					r.create(order("v", ofClass(test.class), size))
					r.wait(5 * time.Second)
				})
				// The report is the formatter's own.
				if ran[lvmfake.Create] != 1 || ran[lvmfake.Finish] != 1 || ran[lvmfake.Report] != 1 {
					t.Errorf("executions: %v, want one create, one finish and no report", ran)
				}
				lv := r.wantReady("v")
				on := r.onDisk("v")
				if lv.Status.AllocatedBytes != test.extents*4*mi || string(on.Type) != test.class || len(on.Legs) != test.legs {
					t.Errorf("%d bytes, %s on %v; want %d extents of %s on %d legs", lv.Status.AllocatedBytes, on.Type, on.Legs, test.extents, test.class, test.legs)
				}
				want := 50*gi - int64(test.legs)*test.leg*4*mi
				if free := r.storage().Status.VolumeGroups[0].FreeBytes; free != want {
					t.Errorf("%d bytes free, want %d", free, want)
				}
				r.resize(2*gi + 1)
				r.wait(5 * time.Second)
				if lv := r.wantReady("v"); lv.Status.AllocatedBytes != test.grown*4*mi || lv.Status.Code != "" {
					t.Errorf("%+v, want %d extents", lv.Status, test.grown)
				}
			})
		})
	}
}

// Several in a row are placed by what the former are predicted to take, without a report.
func TestLegsArePredicted(t *testing.T) {
	withLegs(t, func(r *rig) {
		ran := r.executions(func() {
			for i := range 6 {
				r.create(order(fmt.Sprintf("v%d", i), ofClass([]string{"raid1", "raid5", "striped"}[i%3])))
			}
			r.wait(10 * time.Second)
		})
		if ran[lvmfake.Create] != 6 || ran[lvmfake.Report] != 6 {
			t.Errorf("executions: %v, want six creates and the formatter's six reports", ran)
		}
		for i := range 6 {
			r.wantReady(fmt.Sprintf("v%d", i))
		}
	})
}

func TestLegsRefused(t *testing.T) {
	withLegs(t, func(r *rig) {
		// raid6 of 3 stripes has 5 legs of 10 GiB; each needs a third of the size and its metadata.
		r.create(order("v", ofClass("raid6"), func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = 30 * gi }))
		r.wait(5 * time.Second)
		if message := r.wantOutcome("v", v1alpha1.PhaseFailed, codes.ResourceExhausted.String()); !strings.Contains(message, "50Gi free") {
			t.Errorf("message %q", message)
		}
	})
}

// A volume grows where its legs are, or not at all.
func TestLegsWithoutRoom(t *testing.T) {
	withLegs(t, func(r *rig) {
		r.create(order("v", ofClass("raid1")))
		r.wait(5 * time.Second)
		leg := r.onDisk("v").Legs[1][0]
		r.manager.Change("vg0", func(vg *lvm.VolumeGroup) {
			for i := range vg.PhysicalVolumes {
				if pv := &vg.PhysicalVolumes[i]; pv.Name == leg {
					pv.Allocatable = false
				}
			}
		})
		r.resize(2 * gi)
		r.wait(5 * time.Second)
		r.wantOutcome("v", v1alpha1.PhaseReady, codes.OutOfRange.String())
	})
}

func TestBlockWithLegsDoesNotGrow(t *testing.T) {
	withLegs(t, func(r *rig) {
		r.create(order("v", ofClass("raid1"), asBlock))
		r.wait(5 * time.Second)
		r.wantReady("v")
		r.resize(2 * gi)
		r.wait(5 * time.Second)
		if message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.OutOfRange.String()); !strings.Contains(message, "raid1 does not grow") {
			t.Errorf("message %q", message)
		}
	})
}

// What a creation that died left behind is no volume: it is removed and made again.
func TestFragment(t *testing.T) {
	withLegs(t, func(r *rig) {
		if err := r.manager.AddLogicalVolume("vg0", "v", 4*mi, lvm.TagOwned); err != nil {
			t.Fatal(err)
		}
		r.create(order("v", ofClass("raid5")))
		r.wait(10 * time.Second)
		r.wantReady("v")
		if on := r.onDisk("v"); len(on.Legs) != 3 || !on.LegsApart() {
			t.Errorf("legs on %v, want three apart", on.Legs)
		}
	})
}

func TestLegLost(t *testing.T) {
	withLegs(t, func(r *rig) {
		r.create(order("v", ofClass("raid1")))
		r.wait(15 * time.Second)
		r.wantCondition("v", v1alpha1.LogicalVolumeRedundant, metav1.ConditionTrue, v1alpha1.ReasonReady)
		r.manager.DamageLeg("vg0", "v")
		r.wait(15 * time.Second)
		r.wantCondition("v", v1alpha1.LogicalVolumeRedundant, metav1.ConditionFalse, v1alpha1.ReasonLegLost)
		r.wantCondition("v", v1alpha1.LogicalVolumeHealthy, metav1.ConditionTrue, v1alpha1.ReasonReady)
		if !r.sawEvent(v1alpha1.ReasonLegLost) {
			t.Error("no event says that a leg is lost")
		}
		r.manager.RepairLegs("vg0", "v")
		r.wait(15 * time.Second)
		r.wantCondition("v", v1alpha1.LogicalVolumeRedundant, metav1.ConditionTrue, v1alpha1.ReasonReady)
	})
}

// A lost disk takes the linear volumes on it, and one leg of others; nothing new is made.
func TestDiskLost(t *testing.T) {
	withLegs(t, func(r *rig) {
		r.create(order("mirror", ofClass("raid1")))
		r.wait(5 * time.Second)
		r.create(order("plain", func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = 45 * gi }))
		r.wait(10 * time.Second)
		r.wantReady("mirror")
		r.wantReady("plain")
		leg := r.onDisk("mirror").Legs[0][0]
		before := len(r.disk().LogicalVolumes)
		r.manager.Change("vg0", func(vg *lvm.VolumeGroup) {
			for i := range vg.PhysicalVolumes {
				vg.PhysicalVolumes[i].Missing = vg.PhysicalVolumes[i].Name == leg
			}
		})
		r.wait(15 * time.Second)
		r.wantCondition("mirror", v1alpha1.LogicalVolumeHealthy, metav1.ConditionTrue, v1alpha1.ReasonReady)
		r.wantCondition("mirror", v1alpha1.LogicalVolumeRedundant, metav1.ConditionFalse, v1alpha1.ReasonLegLost)
		r.wantCondition("plain", v1alpha1.LogicalVolumeHealthy, metav1.ConditionFalse, v1alpha1.ReasonPhysicalVolumeLost)
		r.create(order("new", ofClass("raid1")))
		r.wait(5 * time.Second)
		r.wantOutcome("new", v1alpha1.PhaseFailed, codes.ResourceExhausted.String())
		if after := len(r.disk().LogicalVolumes); after != before {
			t.Errorf("%d LVs, were %d", after, before)
		}
	})
}

// An encrypted volume is larger by its header, and grows by what is asked for.
func TestEncryptedSize(t *testing.T) {
	withLegs(t, func(r *rig) {
		r.create(order("v", ofClass("secret"), func(lv *v1alpha1.LogicalVolume) { lv.Spec.Encryption = v1alpha1.EncryptionLUKS2 }))
		r.wait(5 * time.Second)
		if lv := r.wantReady("v"); lv.Status.AllocatedBytes != gi+lvm.LUKSHeaderBytes {
			t.Errorf("%d bytes, want 1 GiB and the header", lv.Status.AllocatedBytes)
		}
		r.resize(gi + 4*mi)
		r.wait(5 * time.Second)
		if lv := r.wantReady("v"); lv.Status.AllocatedBytes != gi+4*mi+lvm.LUKSHeaderBytes {
			t.Errorf("%d bytes, want 1028 MiB and the header", lv.Status.AllocatedBytes)
		}
		r.create(order("clear", ofClass("secret")))
		r.wait(5 * time.Second)
		r.wantOutcome("clear", v1alpha1.PhaseFailed, codes.ResourceExhausted.String())
	})
}
