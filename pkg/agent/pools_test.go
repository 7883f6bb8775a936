package agent

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

const thinClass = `
volumeGroups:
- {name: vg0, spare: 1Gi, growthReserve: 2Gi}
deviceClasses:
- {name: ssd, volumeGroup: vg0}
- {name: thin, volumeGroup: vg0, thinPool: {name: pool0, size: 4Gi, overprovisionRatio: 1.5}}
`

// The pool takes 4 GiB of data, and 8 MiB of metadata twice: for repairs there is a spare.
const withoutPool = 10*gi - 4*gi - 16*mi

// withPool starts a node that makes pool0 in vg0.
func withPool(t *testing.T, test func(r *rig)) {
	t.Helper()
	inBubble(t, func(r *rig) {
		r.writeConfig(thinClass)
		r.start()
		test(r)
	})
}

// thinOf orders a thin volume of a size.
func thinOf(name string, bytes int64, change ...func(*v1alpha1.LogicalVolume)) *v1alpha1.LogicalVolume {
	return order(name, append(change, ofClass("thin"), func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = bytes })...)
}

// published is vg0 as the NodeStorage has it.
func (r *rig) published() v1alpha1.VolumeGroupStatus {
	r.t.Helper()
	return r.storage().Status.VolumeGroups[0]
}

// fill sets what is used of pool0 and lets the agent look.
func (r *rig) fill(dataBytes, metadataBytes int64) {
	r.manager.SetPoolUsed("vg0", "pool0", dataBytes, metadataBytes)
	r.wait(15 * time.Second)
}

// wantPool fails the test unless pool0 is published with these sizes, and so much is left of the growth reserve.
func (r *rig) wantPool(data, metadata, reserve int64) {
	r.t.Helper()
	vg := r.published()
	if len(vg.ThinPools) != 1 || vg.ThinPools[0].SizeBytes != data || vg.ThinPools[0].MetadataSizeBytes != metadata || vg.GrowthReserveBytes != reserve {
		r.t.Errorf("published %+v, reserve %d; want %d bytes, metadata %d, reserve %d", vg.ThinPools, vg.GrowthReserveBytes, data, metadata, reserve)
	}
}

func TestPoolIsMade(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.writeConfig(thinClass)
		ran := r.executions(func() {
			r.start()
			r.wait(time.Hour)
		})
		// A report at the start, one with which the metadata areas are known, one of the pool.
		if len(ran) != 2 || ran[lvmfake.CreatePool] != 1 || ran[lvmfake.Report] != 3 {
			t.Errorf("executions: %v, want one createpool and three reports", ran)
		}
		status := r.storage().Status
		vg := status.VolumeGroups[0]
		want := v1alpha1.ThinPoolStatus{Name: "pool0", SizeBytes: 4 * gi, MetadataSizeBytes: 8 * mi}
		if len(vg.ThinPools) != 1 || vg.ThinPools[0] != want || vg.FreeBytes != withoutPool {
			t.Errorf("published %+v, %d bytes free; want %+v, %d", vg.ThinPools, vg.FreeBytes, want, withoutPool)
		}
		if len(vg.Orphans) != 0 || len(vg.Recent) != 0 || status.Summary.Volumes != 0 {
			t.Errorf("the pool counts as a volume: %+v, %d", vg, status.Summary.Volumes)
		}
		if class := status.DeviceClasses[1]; class.ThinPool != "pool0" || class.OverprovisionPercent != 150 {
			t.Errorf("device class %+v", class)
		}
		if c := r.condition(v1alpha1.NodeStorageReady); c.Status != metav1.ConditionTrue {
			t.Errorf("condition %+v", c)
		}
	})
}

func TestPoolIsNotMade(t *testing.T) {
	for _, test := range []struct {
		name, config, reason string
	}{
		{"no room", strings.ReplaceAll(thinClass, "size: 4Gi", "size: 7Gi"), v1alpha1.ReasonThinPoolNotMade},
		{"no size", strings.ReplaceAll(thinClass, "size: 4Gi, ", ""), v1alpha1.ReasonThinPoolMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.writeConfig(test.config)
				ran := r.executions(func() {
					r.start()
					r.wait(time.Hour)
				})
				if ran[lvmfake.CreatePool] != 0 || ran[lvmfake.Report] != 2 {
					t.Errorf("executions: %v, want two reports", ran)
				}
				c := r.condition(v1alpha1.NodeStorageReady)
				if c.Status != metav1.ConditionFalse || c.Reason != test.reason || !strings.Contains(c.Message, "vg0/pool0") {
					t.Errorf("condition %+v", c)
				}
				r.create(thinOf("v", gi))
				r.wait(5 * time.Second)
				r.wantOutcome("v", v1alpha1.PhaseFailed, codes.ResourceExhausted.String())
				r.writeConfig(thinClass)
				r.wait(75 * time.Second)
				if c := r.condition(v1alpha1.NodeStorageReady); c.Status != metav1.ConditionTrue || len(r.published().ThinPools) != 1 {
					t.Errorf("condition %+v, want the pool to be made when it can be", c)
				}
			})
		})
	}
}

// A pool that vanished with its volumes is not made again on their extents.
func TestLostPoolIsNotMadeAgain(t *testing.T) {
	withPool(t, func(r *rig) {
		r.create(thinOf("v", gi))
		r.wait(5 * time.Second)
		r.wantReady("v")
		for _, name := range []string{"v", "pool0"} {
			if err := r.manager.RemoveLogicalVolume("vg0", name); err != nil {
				t.Fatal(err)
			}
		}
		ran := r.executions(func() { r.wait(time.Hour) })
		if ran[lvmfake.CreatePool] != 0 {
			t.Errorf("executions: %v, want no createpool", ran)
		}
		if c := r.condition(v1alpha1.NodeStorageReady); c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonThinPoolMissing {
			t.Errorf("condition %+v", c)
		}
	})
}

func TestThinVolumes(t *testing.T) {
	withPool(t, func(r *rig) {
		ran := r.executions(func() {
			r.create(thinOf("v", gi, asBlock))
			r.create(thinOf("w", 2*gi))
			r.wait(5 * time.Second)
		})
		// The report is the formatter's own.
		if ran[lvmfake.Create] != 2 || ran[lvmfake.Finish] != 2 || ran[lvmfake.Report] != 1 {
			t.Errorf("executions: %v, want two creates, two finishes and no report", ran)
		}
		r.wantReady("v")
		r.wantReady("w")
		if n := r.eraser.count(); n != 0 {
			t.Errorf("erased %d times in a pool that zeroes", n)
		}
		if vg := r.published(); vg.FreeBytes != withoutPool || vg.ThinPools[0].VirtualBytes != 3*gi {
			t.Errorf("published %+v, want 3 GiB of virtual bytes and no extent taken", vg)
		}
		// 4 GiB times 1.5 leave 3 GiB.
		r.create(thinOf("x", 3*gi+1))
		r.wait(5 * time.Second)
		if message := r.wantOutcome("x", v1alpha1.PhaseFailed, codes.ResourceExhausted.String()); !strings.Contains(message, "3Gi free") || !strings.Contains(message, "pool0") {
			t.Errorf("message %q", message)
		}
		r.resize(4 * gi)
		r.wait(5 * time.Second)
		if lv := r.wantReady("v"); lv.Status.AllocatedBytes != 4*gi || r.eraser.count() != 0 {
			t.Errorf("%+v, want 4 GiB without helper or zeros", lv.Status)
		}
		r.resize(4*gi + 1)
		r.wait(5 * time.Second)
		if message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.OutOfRange.String()); !strings.Contains(message, "0 free") {
			t.Errorf("message %q", message)
		}
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if vg := r.published(); r.get("v") != nil || vg.ThinPools[0].VirtualBytes != 2*gi {
			t.Errorf("published %+v, want 2 GiB left", vg.ThinPools)
		}
	})
}

// After a reboot a pool without volumes is active again, ours or not: else nobody knows how full it is.
func TestPoolIsActivated(t *testing.T) {
	withPool(t, func(r *rig) {
		r.halt()
		r.manager.SetActive("vg0", "pool0", false)
		r.manager.Change("vg0", func(vg *lvm.VolumeGroup) { vg.LogicalVolumes[0].Tags = nil })
		r.start()
		if on := r.onDisk("pool0"); on == nil || !on.Active {
			t.Errorf("%+v, want an active pool", on)
		}
		r.create(thinOf("v", gi))
		r.wait(5 * time.Second)
		r.wantReady("v")
	})
}

// In a pool of somebody's that does not zero, a block volume is zeroed and does not grow.
func TestPoolThatDoesNotZero(t *testing.T) {
	withPool(t, func(r *rig) {
		r.manager.Change("vg0", func(vg *lvm.VolumeGroup) { vg.ThinPools[0].Zeroes = false })
		r.create(thinOf("v", gi, asBlock))
		r.wait(5 * time.Second)
		r.wantReady("v")
		if len(r.eraser.bytes) != 1 || r.eraser.bytes[0] != gi {
			t.Errorf("erased %v, want 1 GiB", r.eraser.bytes)
		}
		r.resize(2 * gi)
		r.wait(5 * time.Second)
		if message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.OutOfRange.String()); !strings.Contains(message, "does not zero") {
			t.Errorf("message %q", message)
		}
	})
}

// A full pool takes nothing new, as the kernel says at that moment.
func TestFullPoolTakesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.writeConfig(strings.ReplaceAll(thinClass, "growthReserve: 2Gi", "growthReserve: 0"))
		r.start()
		r.manager.SetPoolUsed("vg0", "pool0", 4*gi/100*91, 0)
		r.create(thinOf("v", gi))
		r.wait(time.Second)
		r.wantOutcome("v", v1alpha1.PhaseFailed, codes.ResourceExhausted.String())
	})
}

// Used bytes are published in whole percents.
func TestUsedBytesArePublishedInSteps(t *testing.T) {
	withPool(t, func(r *rig) {
		r.fill(gi, 0)
		if used := r.published().ThinPools[0].DataUsedBytes; used != gi {
			t.Errorf("%d bytes used, want 1 GiB", used)
		}
		requests := len(r.client.Actions())
		r.fill(gi+mi, 0)
		if n := len(r.client.Actions()) - requests; n != 0 {
			t.Errorf("%d requests for less than a percent", n)
		}
	})
}
