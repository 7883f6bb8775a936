package agent

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

func TestRemove(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		r.wantReady("v")
		ran := r.executions(func() {
			r.patch("v", `{"spec":{"state":"Absent"}}`)
			r.wait(10 * time.Second)
		})
		if len(ran) != 2 || ran[lvmfake.Remove] != 1 || ran[lvmfake.Report] != 1 {
			t.Errorf("executions: %v, want one remove and one report", ran)
		}
		if r.get("v") != nil || r.onDisk("v") != nil {
			t.Errorf("object %v, LV %v: want neither", r.get("v"), r.onDisk("v"))
		}
		if vg := r.storage().Status.VolumeGroups[0]; vg.FreeBytes != 10*gi || len(vg.Recent) != 0 || len(vg.Orphans) != 0 {
			t.Errorf("published: %+v", vg)
		}
	})
}

func TestRemoveInUseWaitsForUnstage(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		r.manager.SetOpen("vg0", "v", true)
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(10 * time.Minute)
		if message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.Aborted.String()); !strings.Contains(message, "vg0/v is in use") {
			t.Errorf("message %q", message)
		}
		if !r.sawEvent(v1alpha1.ReasonLogicalVolumeInUse) {
			t.Error("no event says that the volume is in use")
		}
		r.manager.SetOpen("vg0", "v", false)
		r.agent.Unstaged("v")
		r.wait(100 * time.Millisecond)
		if r.get("v") != nil || r.onDisk("v") != nil {
			t.Error("the volume is not removed at its unstage")
		}
	})
}

func TestRemoveNeverTouchesForeign(t *testing.T) {
	inBubble(t, func(r *rig) {
		if err := r.manager.AddLogicalVolume("vg0", "v", gi, "backup"); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		r.wantOutcome("v", v1alpha1.PhaseFailed, codes.AlreadyExists.String())
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if r.get("v") != nil || r.onDisk("v") == nil {
			t.Errorf("object %v, LV %v: want the object gone and the LV left", r.get("v"), r.onDisk("v"))
		}
	})
}

// What is on a volume group that is not there is not known to be gone.
func TestRemoveWaitsForMissingVolumeGroup(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		r.manager.RemoveVolumeGroup("vg0")
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(time.Minute)
		if message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.Unavailable.String()); !strings.Contains(message, "vg0") {
			t.Errorf("message %q does not name the volume group", message)
		}
	})
}

func TestRemoveWhileFormatting(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.formatter.setRespond(func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		r.create(order("v"))
		r.wait(time.Second)
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if r.get("v") != nil || r.onDisk("v") != nil {
			t.Errorf("object %v, LV %v: want neither", r.get("v"), r.onDisk("v"))
		}
	})
}

// An lvcreate that passed its deadline may still make its LV: the object stays until that is settled.
func TestRemoveWaitsForHungCreate(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		var hung atomic.Bool
		hung.Store(true)
		r.manager.SetHooks(func(_ context.Context, o lvmfake.Operation, _, _ string) error {
			if o == lvmfake.Create {
				return lvm.ErrHung
			}
			if o == lvmfake.Remove && hung.Load() {
				return lvm.ErrBusy
			}
			return nil
		}, nil)
		r.create(order("v"))
		r.wait(time.Second)
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(time.Minute)
		r.wantOutcome("v", v1alpha1.PhaseAccepted, codes.Aborted.String())
		if err := r.manager.AddLogicalVolume("vg0", "v", gi, lvm.TagOwned); err != nil {
			t.Fatal(err)
		}
		hung.Store(false)
		r.wait(2 * time.Minute)
		if r.get("v") != nil || r.onDisk("v") != nil {
			t.Errorf("object %v, LV %v: want neither", r.get("v"), r.onDisk("v"))
		}
	})
}
