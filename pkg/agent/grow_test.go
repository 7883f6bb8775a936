package agent

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

func blockOrder(name string) *v1alpha1.LogicalVolume {
	return order(name, func(lv *v1alpha1.LogicalVolume) { lv.Spec.FSType, lv.Spec.Erase = "", v1alpha1.EraseZero })
}

// withBlock starts a node with a block volume v of 1 GiB.
func withBlock(t *testing.T, test func(r *rig)) {
	t.Helper()
	inBubble(t, func(r *rig) {
		r.start()
		r.create(blockOrder("v"))
		r.wait(5 * time.Second)
		r.wantReady("v")
		test(r)
	})
}

func (r *rig) resize(bytes int64) {
	r.t.Helper()
	r.patch("v", fmt.Sprintf(`{"spec":{"sizeBytes":%d}}`, bytes))
}

// wantGrown fails the test unless v has this size, and nothing but v is on disk.
func (r *rig) wantGrown(bytes int64) {
	r.t.Helper()
	lv := r.wantReady("v")
	if lv.Status.AllocatedBytes != bytes || lv.Status.Code != "" || lv.Status.ObservedGeneration != lv.Generation {
		r.t.Errorf("%+v, want %d bytes of generation %d", lv.Status, bytes, lv.Generation)
	}
	disk := r.disk()
	if n := len(disk.LogicalVolumes); n != 1 || disk.FreeBytes != 10*gi-bytes || lv.Status.VolumeGroup.Seqno > disk.Seqno {
		r.t.Errorf("%d LVs and %d bytes free, want 1 and %d", n, disk.FreeBytes, 10*gi-bytes)
	}
}

// blockErase makes erasures wait until release is called or their context ends.
func (r *rig) blockErase() (release func()) {
	released := make(chan struct{})
	r.eraser.setRespond(func(ctx context.Context, _ string) error {
		select {
		case <-released:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return func() { close(released); r.eraser.setRespond(nil) }
}

func TestBlockGrows(t *testing.T) {
	withBlock(t, func(r *rig) {
		ran := r.executions(func() {
			r.resize(3 * gi)
			r.wait(5 * time.Second)
		})
		// One of the reports is the eraser's.
		if len(ran) != 3 || ran[lvmfake.Create] != 1 || ran[lvmfake.Report] != 2 || ran[lvmfake.Absorb] != 1 {
			t.Errorf("executions: %v, want one create, one report and one absorb", ran)
		}
		r.wantGrown(3 * gi)
		if lv := r.get("v"); lv.Status.VolumeGroup.Seqno != r.disk().Seqno {
			t.Errorf("%+v, want seqno %d", lv.Status, r.disk().Seqno)
		}
		if n := len(r.eraser.bytes); n != 2 || r.eraser.bytes[1] != 2*gi {
			t.Errorf("erased %v, want the 2 GiB that are new", r.eraser.bytes)
		}
	})
}

// While zeroing goes on, what it takes is counted once, and neither as a volume nor as an orphan.
func TestGrowingIsPublished(t *testing.T) {
	withBlock(t, func(r *rig) {
		release := r.blockErase()
		r.resize(3 * gi)
		r.wait(time.Minute)
		status := r.storage().Status
		vg := status.VolumeGroups[0]
		want := v1alpha1.LogicalVolumeEntry{Name: "v", SizeBytes: 3 * gi}
		if vg.FreeBytes != 7*gi || len(vg.Recent) != 1 || vg.Recent[0] != want || len(vg.Orphans) != 0 || status.Summary.Volumes != 1 {
			t.Errorf("published %+v, %d volumes; want 7 GiB free, %v recent, 1 volume, no orphan", vg, status.Summary.Volumes, want)
		}
		if lv := r.get("v"); lv.Status.AllocatedBytes != gi {
			t.Errorf("%d bytes are allocated before they are zeroed", lv.Status.AllocatedBytes)
		}
		release()
		r.wait(5 * time.Second)
		r.wantGrown(3 * gi)
	})
}

// A hung zeroing holds up its own volume and no other of the volume group.
func TestHungZeroing(t *testing.T) {
	withBlock(t, func(r *rig) {
		release := r.blockErase()
		r.resize(2 * gi)
		r.wait(time.Minute)
		r.create(order("other"))
		r.wait(5 * time.Second)
		r.wantReady("other")
		r.patch("other", `{"spec":{"sizeBytes":2147483648}}`)
		r.wait(5 * time.Second)
		if lv := r.wantReady("other"); lv.Status.AllocatedBytes != 2*gi {
			t.Errorf("%d bytes, want the other volume to grow meanwhile", lv.Status.AllocatedBytes)
		}
		release()
		r.wait(5 * time.Second)
		if lv := r.wantReady("v"); lv.Status.AllocatedBytes != 2*gi {
			t.Errorf("%d bytes, want 2 GiB", lv.Status.AllocatedBytes)
		}
	})
}

func TestBlockGrowthRefused(t *testing.T) {
	withBlock(t, func(r *rig) {
		r.resize(9*gi + 1)
		r.wait(5 * time.Second)
		message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.OutOfRange.String())
		if !strings.Contains(message, "from 1Gi to 9220Mi: 8Gi free") {
			t.Errorf("message %q", message)
		}
		r.resize(gi)
		r.wait(5 * time.Second)
		r.wantGrown(gi)
	})
}

func TestGrowthIsTakenBackWhileZeroing(t *testing.T) {
	for name, size := range map[string]int64{"altogether": gi, "in part": 2 * gi} {
		t.Run(name, func(t *testing.T) {
			withBlock(t, func(r *rig) {
				release := r.blockErase()
				r.resize(4 * gi)
				r.wait(time.Minute)
				r.resize(size)
				r.wait(5 * time.Second)
				release()
				r.wait(5 * time.Second)
				r.wantGrown(size)
			})
		})
	}
}

func TestRemoveWhileZeroing(t *testing.T) {
	withBlock(t, func(r *rig) {
		r.blockErase()
		r.resize(4 * gi)
		r.wait(time.Minute)
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if disk := r.disk(); r.get("v") != nil || len(disk.LogicalVolumes) != 0 || disk.FreeBytes != 10*gi {
			t.Errorf("object %v, on disk %+v: want neither", r.get("v"), disk.LogicalVolumes)
		}
	})
}

// A helper whose volume has no object is listed and left alone, and removed by order as any other.
func TestHelperWithoutVolume(t *testing.T) {
	inBubble(t, func(r *rig) {
		tags := lvm.VolumeTags{Owned: true, Grow: true, DeviceClass: "ssd", ClaimNamespace: "shop", ClaimName: "data"}
		if err := r.manager.AddLogicalVolume("vg0", "v-grow", gi, tags.Strings()...); err != nil {
			t.Fatal(err)
		}
		r.start()
		orphans := r.storage().Status.VolumeGroups[0].Orphans
		if len(orphans) != 1 || orphans[0].Name != "v-grow" || orphans[0].Claim != "shop/data" || !strings.Contains(orphans[0].Message, "volume v to grow") {
			t.Fatalf("orphans: %+v", orphans)
		}
		r.wait(time.Hour)
		if r.onDisk("v-grow") == nil {
			t.Error("the orphan was removed")
		}
		r.create(order("v-grow", func(lv *v1alpha1.LogicalVolume) { lv.Spec.State = v1alpha1.StateAbsent }))
		r.wait(5 * time.Second)
		if r.onDisk("v-grow") != nil || len(r.storage().Status.VolumeGroups[0].Orphans) != 0 {
			t.Error("the orphan is not removed by order")
		}
	})
}

// An object that vanishes while its volume grows is made again with the size on disk; the helper was its order's.
func TestObjectVanishesWhileGrowing(t *testing.T) {
	withBlock(t, func(r *rig) {
		r.blockErase()
		r.resize(4 * gi)
		r.wait(time.Minute)
		r.deleteObject("v")
		r.wait(10 * time.Second)
		r.wantGrown(gi)
		if orphans := r.storage().Status.VolumeGroups[0].Orphans; len(orphans) != 0 {
			t.Errorf("orphans: %+v", orphans)
		}
	})
}

func TestForeignHelperIsNotTouched(t *testing.T) {
	withBlock(t, func(r *rig) {
		if err := r.manager.AddLogicalVolume("vg0", "v-grow", gi, "backup"); err != nil {
			t.Fatal(err)
		}
		r.resize(2 * gi)
		r.wait(time.Minute)
		if message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.OutOfRange.String()); !strings.Contains(message, "v-grow") {
			t.Errorf("message %q", message)
		}
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if r.onDisk("v-grow") == nil || r.onDisk("v") != nil {
			t.Error("want the volume removed and the foreign LV left")
		}
	})
}
