package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

func TestCreate(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		volume := order("pvc-00000000-0000-0000-0000-000000000001", func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = gi + 1 })
		ran := r.executions(func() {
			r.create(volume)
			r.wait(10 * time.Second)
		})
		if ran[lvmfake.Create] != 1 || ran[lvmfake.Finish] != 1 || ran[lvmfake.Report] != r.formatter.count(volume.Name) {
			// The formatter's own look is the only report.
			t.Errorf("executions: %v, want one create, one finish and no report", ran)
		}
		lv := r.wantReady(volume.Name)
		// 1 GiB and 1 byte is 257 extents of 4 MiB.
		if want := gi + 4*mi; lv.Status.AllocatedBytes != want {
			t.Errorf("allocated %d bytes, want %d", lv.Status.AllocatedBytes, want)
		}
		disk := r.disk()
		if got := lv.Status.VolumeGroup; got.Name != "vg0" || got.UUID != disk.UUID || got.Seqno != disk.Seqno {
			t.Errorf("volume group %+v, want vg0 at seqno %d", got, disk.Seqno)
		}
		if lv.Status.Staged || lv.Status.ObservedGeneration != 1 {
			t.Errorf("staged %t, observed generation %d; want false, 1", lv.Status.Staged, lv.Status.ObservedGeneration)
		}
		tags := lvm.ParseTags(r.onDisk(volume.Name).Tags)
		want := lvm.VolumeTags{Owned: true, Ready: true, ClaimNamespace: "shop", ClaimName: "data-" + volume.Name, DeviceClass: "ssd", FSType: "ext4"}
		if tags != want {
			t.Errorf("tags %+v, want %+v", tags, want)
		}
		if n := r.formatter.count(volume.Name); n != 1 {
			t.Errorf("formatted %d times, want once", n)
		}
		vg := r.storage().Status.VolumeGroups[0]
		if vg.FreeBytes != 10*gi-gi-4*mi || vg.Seqno != disk.Seqno || len(vg.Recent) != 1 || vg.Recent[0].SizeBytes != gi+4*mi {
			t.Errorf("published: %+v", vg)
		}
	})
}

func TestBlockVolumeIsZeroedAndNotFormatted(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("block", func(lv *v1alpha1.LogicalVolume) { lv.Spec.FSType, lv.Spec.Erase = "", v1alpha1.EraseZero }))
		r.wait(5 * time.Second)
		r.wantReady("block")
		if r.formatter.count("block") != 0 || len(r.eraser.modes) != 1 || r.eraser.modes[0] != v1alpha1.EraseZero || r.eraser.bytes[0] != gi {
			t.Errorf("formatted %d times, erased %v of %v bytes; want 0, [zero] of 1 GiB", r.formatter.count("block"), r.eraser.modes, r.eraser.bytes)
		}
	})
}

// A burst that takes the volume group to its last extent: all that fit are made, the rest are refused, nothing else
// is run.
func TestBurst(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		ran := r.executions(func() {
			// 10 GiB less 1 GiB spare hold nine volumes of 1 GiB.
			for i := range 12 {
				r.create(order(fmt.Sprintf("v%d", i)))
			}
			r.wait(30 * time.Second)
		})
		ready, refused := 0, 0
		for i := range 12 {
			switch lv := r.get(fmt.Sprintf("v%d", i)); lv.Status.Phase {
			case v1alpha1.PhaseReady:
				ready++
			case v1alpha1.PhaseFailed:
				refused++
				if lv.Status.Code != codes.ResourceExhausted.String() {
					t.Errorf("%s: code %s", lv.Name, lv.Status.Code)
				}
			}
		}
		if ready != 9 || refused != 3 {
			t.Errorf("%d ready and %d refused, want 9 and 3", ready, refused)
		}
		if ran[lvmfake.Create] != 9 || ran[lvmfake.Finish] != 9 {
			t.Errorf("executions: %v, want 9 creates and 9 finishes", ran)
		}
		// 9 looks of the formatter's and a report for each refusal.
		if ran[lvmfake.Report] > 9+3 {
			t.Errorf("%d reports, want 12 at most", ran[lvmfake.Report])
		}
		if free := r.disk().FreeBytes; free != gi {
			t.Errorf("%d bytes free, want the spare 1 GiB", free)
		}
	})
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(r *rig)
		change  func(*v1alpha1.LogicalVolume)
		code    codes.Code
		message []string
	}{
		{
			name:    "no space",
			change:  func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = 9*gi + 1 },
			code:    codes.ResourceExhausted,
			message: []string{node1, "ssd", "vg0", "9Gi free", "9663676417 wanted"},
		},
		{
			name:    "unknown device class",
			change:  func(lv *v1alpha1.LogicalVolume) { lv.Spec.DeviceClass = "tape" },
			code:    codes.ResourceExhausted,
			message: []string{node1, `"tape"`},
		},
		{
			name:    "volume group missing",
			prepare: func(r *rig) { r.manager.RemoveVolumeGroup("vg0") },
			code:    codes.ResourceExhausted,
			message: []string{node1, "vg0 is not there"},
		},
		{
			name: "volume group refused",
			prepare: func(r *rig) {
				r.manager.Change("vg0", func(vg *lvm.VolumeGroup) { vg.Refusal = "it is exported" })
			},
			code:    codes.ResourceExhausted,
			message: []string{"vg0", "it is exported"},
		},
		{
			name: "physical volume missing",
			prepare: func(r *rig) {
				r.manager.Change("vg0", func(vg *lvm.VolumeGroup) { vg.PhysicalVolumes[0].Missing = true })
			},
			code:    codes.ResourceExhausted,
			message: []string{"physical volumes are missing"},
		},
		{
			name: "foreign LV of that name",
			prepare: func(r *rig) {
				if err := r.manager.AddLogicalVolume("vg0", "v", gi, "backup"); err != nil {
					r.t.Fatal(err)
				}
			},
			code:    codes.AlreadyExists,
			message: []string{"vg0/v", "not Berth's"},
		},
		{
			name:    "block volume with its old bytes",
			change:  func(lv *v1alpha1.LogicalVolume) { lv.Spec.FSType = "" },
			code:    codes.InvalidArgument,
			message: []string{"erase", "none"},
		},
		{
			name:    "xfs too small",
			change:  func(lv *v1alpha1.LogicalVolume) { lv.Spec.FSType, lv.Spec.SizeBytes = "xfs", 200*mi },
			code:    codes.InvalidArgument,
			message: []string{"xfs", "300Mi"},
		},
		{
			name:    "size past int64 extents",
			change:  func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = 1<<63 - 1 },
			code:    codes.InvalidArgument,
			message: []string{"not representable"},
		},
		{
			name: "LVM refuses what fits",
			prepare: func(r *rig) {
				r.manager.SetHooks(func(_ context.Context, o lvmfake.Operation, _, _ string) error {
					if o == lvmfake.Create {
						return fmt.Errorf("metadata too large for circular buffer: %w", lvm.ErrNoSpace)
					}
					return nil
				}, nil)
			},
			code:    codes.ResourceExhausted,
			message: []string{"circular buffer"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				if test.prepare != nil {
					test.prepare(r)
				}
				r.start()
				volume := order("v")
				if test.change != nil {
					test.change(volume)
				}
				before := len(r.disk().LogicalVolumes)
				r.create(volume)
				r.wait(5 * time.Second)
				message := r.wantOutcome("v", v1alpha1.PhaseFailed, test.code.String())
				for _, want := range test.message {
					if !strings.Contains(message, want) {
						t.Errorf("message %q lacks %q", message, want)
					}
				}
				if after := len(r.disk().LogicalVolumes); after != before {
					t.Errorf("%d LVs on disk, were %d", after, before)
				}
			})
		})
	}
}

// Busy and hung commands are tried again; the object stays Accepted meanwhile.
func TestBusyIsTriedAgain(t *testing.T) {
	for _, busy := range []error{lvm.ErrBusy, lvm.ErrHung, errors.New("exit status 5")} {
		t.Run(busy.Error(), func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.start()
				r.manager.SetHooks(func(_ context.Context, o lvmfake.Operation, _, _ string) error {
					if o == lvmfake.Create {
						return busy
					}
					return nil
				}, nil)
				r.create(order("v"))
				r.wait(5 * time.Second)
				if lv := r.get("v"); lv.Status.Phase != v1alpha1.PhaseAccepted || !strings.Contains(lv.Status.Message, busy.Error()) {
					t.Errorf("%+v, want Accepted with the reason", lv.Status)
				}
				r.manager.SetHooks(nil, nil)
				r.wait(2 * time.Minute)
				if lv := r.wantReady("v"); lv.Status.Code != "" || lv.Status.Message != "" {
					t.Errorf("%+v, want the old failure cleared", lv.Status)
				}
			})
		})
	}
}

// A mkfs that hangs holds up its own volume and no other, whatever their number.
func TestHungFormat(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		release := make(chan struct{})
		r.formatter.setRespond(func(_ context.Context, name string) error {
			if strings.HasPrefix(name, "slow") {
				<-release
			}
			return nil
		})
		for i := range workers {
			r.create(order(fmt.Sprintf("slow%d", i), func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = 8 * mi }))
		}
		r.wait(time.Minute)
		r.create(order("v"))
		r.wait(5 * time.Second)
		r.wantReady("v")
		close(release)
		r.wait(5 * time.Second)
		for i := range workers {
			r.wantReady(fmt.Sprintf("slow%d", i))
		}
	})
}

func TestFailedFormatIsTriedAgain(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.formatter.setRespond(func(context.Context, string) error { return errors.New("mkfs.ext4: exit status 1") })
		r.create(order("v"))
		r.wait(3 * time.Second)
		if message := r.wantOutcome("v", v1alpha1.PhaseAccepted, codes.Aborted.String()); !strings.Contains(message, "mkfs.ext4") {
			t.Errorf("message %q does not name mkfs", message)
		}
		r.formatter.setRespond(nil)
		r.wait(time.Minute)
		r.wantReady("v")
	})
}

// The controller's withdrawal and the agent's acceptance exclude each other.
func TestWithdrawnBeforeAccepted(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.client.SetHook(func(a fake.Action) error {
			if a.Verb == "update-status" && a.Resource == "logicalvolumes" {
				r.client.SetHook(nil)
				if err := r.client.LogicalVolumes().Delete(context.Background(), "v", metav1.DeleteOptions{}); err != nil {
					t.Error(err)
				}
			}
			return nil
		})
		ran := r.executions(func() {
			r.create(order("v"))
			r.wait(time.Minute)
		})
		if ran[lvmfake.Create] != 0 || r.get("v") != nil || r.onDisk("v") != nil {
			t.Errorf("executions %v, object %v: want none after a withdrawal", ran, r.get("v"))
		}
	})
}
