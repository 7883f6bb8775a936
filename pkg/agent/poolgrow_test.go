package agent

import (
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
)

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
