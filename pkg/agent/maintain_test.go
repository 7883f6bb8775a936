package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

func TestExpand(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		ran := r.executions(func() {
			r.patch("v", `{"spec":{"sizeBytes":3221225472}}`)
			r.wait(5 * time.Second)
		})
		// One report is the rig's, which looks at what is extended.
		if len(ran) != 2 || ran[lvmfake.Extend] != 1 || ran[lvmfake.Report] != 2 {
			t.Errorf("executions: %v, want one extend and one report", ran)
		}
		lv := r.wantReady("v")
		if lv.Status.AllocatedBytes != 3*gi || lv.Status.ObservedGeneration != 2 || lv.Status.VolumeGroup.Seqno != r.disk().Seqno {
			t.Errorf("%+v, want 3 GiB of generation 2", lv.Status)
		}
		r.patch("v", `{"spec":{"sizeBytes":9663676417}}`)
		r.wait(5 * time.Second)
		message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.OutOfRange.String())
		for _, want := range []string{"from 3Gi to 9220Mi", "6Gi free"} {
			if !strings.Contains(message, want) {
				t.Errorf("message %q lacks %q", message, want)
			}
		}
		r.patch("v", `{"spec":{"sizeBytes":3221225472}}`)
		r.wait(5 * time.Second)
		if lv := r.wantReady("v"); lv.Status.Code != "" || lv.Status.ObservedGeneration != lv.Generation {
			t.Errorf("%+v, want the refusal cleared with the order taken back", lv.Status)
		}
	})
}

func TestStage(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		info, err := r.agent.Stageable(t.Context(), "v")
		if want := (StageInfo{DevicePath: r.manager.DevicePath("vg0", "v"), FSType: "ext4", SizeBytes: gi}); err != nil || info != want {
			t.Errorf("%+v, %v; want %+v", info, err, want)
		}
		r.wait(time.Second)
		if !r.get("v").Status.Staged {
			t.Error("the volume is not marked as staged")
		}
		requests := len(r.client.Actions())
		ran := r.executions(func() {
			if _, err := r.agent.Stageable(t.Context(), "v"); err != nil {
				t.Error(err)
			}
		})
		if n := len(r.client.Actions()) - requests; n != 0 || len(ran) != 0 {
			t.Errorf("the second time takes %d requests and %v executions, want none", n, ran)
		}
		if _, err := r.agent.Stageable(t.Context(), "nobody"); !errors.Is(err, lvm.ErrNotFound) {
			t.Errorf("unknown volume: %v, want ErrNotFound", err)
		}
		r.formatter.setRespond(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		r.create(order("slow"))
		r.wait(time.Second)
		if _, err := r.agent.Stageable(t.Context(), "slow"); !errors.Is(err, ErrNotReady) {
			t.Errorf("volume in the making: %v, want ErrNotReady", err)
		}
	})
}
