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

// at dies before or after the effect of an operation on any LV.
func at(name string, operation lvmfake.Operation, after bool) crash {
	return crash{name, func(r *rig, die func() error) {
		hook := func(_ context.Context, o lvmfake.Operation, _, _ string) error {
			if o != operation {
				return nil
			}
			r.manager.SetHooks(nil, nil)
			return die()
		}
		if after {
			r.manager.SetHooks(nil, hook)
		} else {
			r.manager.SetHooks(hook, nil)
		}
	}}
}

func TestBlockGrowthSurvivesCrash(t *testing.T) {
	for _, step := range []crash{
		at("before the helper's lvcreate", lvmfake.Create, false),
		at("after the helper's lvcreate", lvmfake.Create, true),
		{"while zeroing", func(r *rig, die func() error) {
			r.eraser.setRespond(func(context.Context, string) error {
				r.eraser.setRespond(nil)
				return die()
			})
		}},
		at("before lvremove", lvmfake.Absorb, false),
		{"between lvremove and lvextend", func(r *rig, die func() error) {
			r.manager.SetHooks(func(_ context.Context, o lvmfake.Operation, vg, _ string) error {
				if o != lvmfake.Absorb {
					return nil
				}
				r.manager.SetHooks(nil, nil)
				if err := r.manager.RemoveLogicalVolume(vg, "v-grow"); err != nil {
					r.t.Error(err)
				}
				return die()
			}, nil)
		}},
		at("after lvextend", lvmfake.Absorb, true),
		atWrite("writing the size", "update-status", 1),
	} {
		t.Run(step.name, func(t *testing.T) {
			withBlock(t, func(r *rig) {
				died := make(chan struct{})
				step.arm(r, r.dying(died))
				r.resize(2 * gi)
				<-died
				r.halt()
				r.start()
				r.wait(5 * time.Second)
				r.wantGrown(2 * gi)
			})
		})
	}
}

// What a crash left is removed when the expansion was taken back, or the volume ordered Absent, while no agent ran.
func TestLeftHelperGoes(t *testing.T) {
	for _, test := range []struct {
		name, patch string
		left        int
	}{
		{"taken back", `{"spec":{"sizeBytes":1073741824}}`, 1},
		{"removed", `{"spec":{"state":"Absent"}}`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			withBlock(t, func(r *rig) {
				died := make(chan struct{})
				at("after the helper's lvcreate", lvmfake.Create, true).arm(r, r.dying(died))
				r.resize(2 * gi)
				<-died
				r.halt()
				r.patch("v", test.patch)
				r.start()
				r.wait(5 * time.Second)
				if disk := r.disk(); len(disk.LogicalVolumes) != test.left || disk.FreeBytes != 10*gi-int64(test.left)*gi {
					t.Errorf("on disk: %+v, want %d volumes", disk.LogicalVolumes, test.left)
				}
			})
		})
	}
}

// A helper that is removed, replaced or robbed of its extents from outside is never taken for the one that was zeroed.
func TestHelperIsTouchedFromOutside(t *testing.T) {
	remove := func(r *rig) {
		if err := r.manager.RemoveLogicalVolume("vg0", "v-grow"); err != nil {
			r.t.Error(err)
		}
	}
	for _, test := range []struct {
		name  string
		touch func(r *rig)
		// host is what the touch leaves to the host.
		host int64
		want int64
	}{
		{name: "removed", touch: remove, want: 3 * gi},
		{name: "replaced", want: 3 * gi, touch: func(r *rig) {
			remove(r)
			if err := r.manager.AddLogicalVolume("vg0", "v-grow", 2*gi, lvm.TagOwned, lvm.TagGrow); err != nil {
				r.t.Error(err)
			}
		}},
		{name: "taken", host: 2 * gi, want: 3 * gi, touch: func(r *rig) {
			remove(r)
			if err := r.manager.AddLogicalVolume("vg0", "host", 2*gi); err != nil {
				r.t.Error(err)
			}
		}},
		{name: "taken with all there is", host: 8 * gi, want: gi, touch: func(r *rig) {
			remove(r)
			if err := r.manager.AddLogicalVolume("vg0", "host", 8*gi); err != nil {
				r.t.Error(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			withBlock(t, func(r *rig) {
				erased := r.eraser.count()
				r.manager.SetHooks(func(_ context.Context, o lvmfake.Operation, _, _ string) error {
					if o != lvmfake.Absorb {
						return nil
					}
					r.manager.SetHooks(nil, nil)
					test.touch(r)
					return nil
				}, nil)
				r.resize(3 * gi)
				r.wait(time.Minute)
				lv := r.wantReady("v")
				if lv.Status.AllocatedBytes != test.want || r.onDisk("v-grow") != nil || r.disk().FreeBytes != 10*gi-test.host-test.want {
					t.Errorf("%+v, on disk %+v: want %d bytes and no helper", lv.Status, r.disk().LogicalVolumes, test.want)
				}
				if refused := lv.Status.Code == codes.OutOfRange.String(); refused != (test.want == gi) {
					t.Errorf("code %q", lv.Status.Code)
				}
				if n := r.eraser.count() - erased; test.want > gi && n != 2 {
					t.Errorf("zeroed %d times, want twice", n)
				}
			})
		})
	}
}

func TestFailedZeroingIsTriedAgain(t *testing.T) {
	withBlock(t, func(r *rig) {
		r.eraser.setRespond(func(context.Context, string) error { return errors.New("input/output error") })
		r.resize(2 * gi)
		r.wait(5 * time.Second)
		if message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.Aborted.String()); !strings.Contains(message, "input/output error") {
			t.Errorf("message %q", message)
		}
		r.eraser.setRespond(nil)
		r.wait(time.Minute)
		r.wantGrown(2 * gi)
	})
}
