package agent

import (
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
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
		// One report at the start, one of the pool.
		if len(ran) != 2 || ran[lvmfake.CreatePool] != 1 || ran[lvmfake.Report] != 2 {
			t.Errorf("executions: %v, want one createpool and two reports", ran)
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
				if ran[lvmfake.CreatePool] != 0 || ran[lvmfake.Report] != 1 {
					t.Errorf("executions: %v, want one report", ran)
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

// What the pool grows by is taken of the reserve, and of nothing else.
func TestPoolIsExtended(t *testing.T) {
	withPool(t, func(r *rig) {
		r.create(thinOf("v", gi))
		r.wait(5 * time.Second)
		available := func() int64 { vg := r.published(); return vg.Space().FreeBytes() }
		before := available()
		// 87 % of 4 GiB; a step is a fifth, 819.2 MiB, in extents of 4 MiB.
		r.fill(3584*mi, 0)
		r.wantPool(4*gi+820*mi, 8*mi, 2*gi-820*mi)
		// 75 % of 8 MiB; a step is one extent, and the spare's.
		r.fill(3584*mi, 6*mi)
		r.wantPool(4*gi+820*mi, 12*mi, 2*gi-828*mi)
		if after := available(); after != before {
			t.Errorf("%d bytes are left for new volumes, were %d", after, before)
		}
		r.wantCondition("v", v1alpha1.LogicalVolumePoolHealthy, metav1.ConditionTrue, v1alpha1.ReasonReady)
	})
}

// A pool that cannot be extended says so on its volumes, once, and grows as soon as something comes free.
func TestReserveIsUsedUp(t *testing.T) {
	withPool(t, func(r *rig) {
		r.create(thinOf("v", gi))
		r.create(order("filler"))
		r.wait(5 * time.Second)
		// Steps of 820 and 984 MiB, and the last 244.
		r.fill(4000*mi, 0)
		r.fill(4800*mi, 0)
		r.fill(4900*mi, 0)
		r.wantPool(6*gi, 8*mi, 0)
		r.sawEvent("")
		r.fill(6000*mi, 0)
		r.wantCondition("v", v1alpha1.LogicalVolumePoolHealthy, metav1.ConditionFalse, v1alpha1.ReasonThinPoolNearlyFull)
		if !r.sawEvent(v1alpha1.ReasonThinPoolNearlyFull) {
			t.Error("no event says that the pool is nearly full")
		}
		ran := r.executions(func() { r.wait(time.Hour) })
		if len(ran) != 0 || r.sawEvent(v1alpha1.ReasonThinPoolNearlyFull) {
			t.Errorf("executions in an hour without room: %v, want none, and no second event", ran)
		}
		r.fill(6*gi, 0)
		r.wantCondition("v", v1alpha1.LogicalVolumePoolHealthy, metav1.ConditionFalse, v1alpha1.ReasonThinPoolFull)
		r.patch("filler", `{"spec":{"state":"Absent"}}`)
		r.wait(15 * time.Second)
		r.wantPool(7*gi, 8*mi, 0)
		r.wantCondition("v", v1alpha1.LogicalVolumePoolHealthy, metav1.ConditionFalse, v1alpha1.ReasonThinPoolNearlyFull)
		r.fill(gi, 0)
		r.wantCondition("v", v1alpha1.LogicalVolumePoolHealthy, metav1.ConditionTrue, v1alpha1.ReasonReady)
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

func TestPoolProblem(t *testing.T) {
	pool := lvm.ThinPool{SizeBytes: 100, MetadataSizeBytes: 100}
	works := dm.ThinPool{Mode: dm.PoolReadWrite}
	filled := func(data, metadata int64) lvm.ThinPool {
		p := pool
		p.DataUsedBytes, p.MetadataUsedBytes = data, metadata
		return p
	}
	for _, test := range []struct {
		name    string
		pool    lvm.ThinPool
		kernel  dm.ThinPool
		failure error
		want    string
	}{
		{"well", filled(79, 59), works, nil, ""},
		{"extended in time", filled(85, 0), works, nil, ""},
		{"not extended", filled(85, 0), works, lvm.ErrNoSpace, v1alpha1.ReasonThinPoolNearlyFull},
		{"never extended", filled(90, 0), works, nil, v1alpha1.ReasonThinPoolNearlyFull},
		{"out of space", filled(99, 0), dm.ThinPool{Mode: dm.PoolOutOfSpace}, nil, v1alpha1.ReasonThinPoolFull},
		{"full", filled(100, 0), works, lvm.ErrNoSpace, v1alpha1.ReasonThinPoolFull},
		{"read-only", filled(10, 0), dm.ThinPool{Mode: dm.PoolReadOnly}, nil, v1alpha1.ReasonThinPoolReadOnly},
		{"to be checked", filled(10, 0), dm.ThinPool{Mode: dm.PoolReadOnly, NeedsCheck: true}, nil, v1alpha1.ReasonThinPoolNeedsCheck},
		{"failed", filled(10, 0), dm.ThinPool{Mode: dm.PoolFailed}, nil, v1alpha1.ReasonThinPoolFailed},
		{"not seen", filled(10, 0), dm.ThinPool{}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := (ThinPoolConfig{}).problem(test.pool, test.kernel, test.failure); got.reason != test.want {
				t.Errorf("%+v, want %q", got, test.want)
			}
		})
	}
}

// A pool that does not write counts as full, one that is not active as reported.
func TestPoolRead(t *testing.T) {
	reported := lvm.ThinPool{Name: "p", SizeBytes: 100, DataUsedBytes: 1, MetadataSizeBytes: 50, MetadataUsedBytes: 2}
	for _, test := range []struct {
		name   string
		kernel dm.ThinPool
		err    error
		data   int64
	}{
		{"works", dm.ThinPool{Mode: dm.PoolReadWrite, DataUsedBytes: 7}, nil, 7},
		{"read-only", dm.ThinPool{Mode: dm.PoolReadOnly, DataUsedBytes: 7}, nil, 100},
		{"to be checked", dm.ThinPool{Mode: dm.PoolReadWrite, NeedsCheck: true, DataUsedBytes: 7}, nil, 100},
		{"failed", dm.ThinPool{Mode: dm.PoolFailed}, nil, 100},
		{"not active", dm.ThinPool{}, os.ErrNotExist, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &pools{status: func(string, string) (dm.ThinPool, error) { return test.kernel, test.err }}
			if got, _, _ := p.read(t.Context(), "vg0", reported); got.DataUsedBytes != test.data || got.SizeBytes != 100 {
				t.Errorf("%+v, want %d bytes used", got, test.data)
			}
		})
	}
}
