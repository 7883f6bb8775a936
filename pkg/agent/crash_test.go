package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

// errCrash is what a step returns in whose midst the agent died.
var errCrash = errors.New("the agent died")

// crash makes the agent die at a step of its life, once.
type crash struct {
	name string
	arm  func(r *rig, die func() error)
}

// atLVM dies before or after the effect of an LVM operation.
func atLVM(name string, operation lvmfake.Operation, after bool) crash {
	return crash{name, func(r *rig, die func() error) {
		hook := func(_ context.Context, o lvmfake.Operation, _, lv string) error {
			if o != operation || lv != "v" {
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

// atWrite dies before the n-th write of a kind to the volume's object.
func atWrite(name, verb string, n int) crash {
	return crash{name, func(r *rig, die func() error) {
		seen := 0
		r.client.SetHook(func(a fake.Action) error {
			if a.Verb != verb || a.Name != "v" {
				return nil
			}
			if seen++; seen != n {
				return nil
			}
			r.client.SetHook(nil)
			return die()
		})
	}}
}

func atFormat() crash {
	return crash{"in mkfs", func(r *rig, die func() error) {
		r.formatter.setRespond(func(context.Context, string) error {
			r.formatter.setRespond(nil)
			return die()
		})
	}}
}

// dying returns what a step calls to die: the agent's context ends before the step returns, so that nothing it would
// do about the error is done.
func (r *rig) dying(died chan<- struct{}) func() error {
	kill := r.kill
	return func() error {
		kill()
		close(died)
		return errCrash
	}
}

// An agent that dies at any step of a creation leaves what the next one completes: one LV, formatted, Ready; and no
// LV is formatted that carries the ready tag (the rig's formatter sees to that).
func TestCreateSurvivesCrash(t *testing.T) {
	for _, step := range []crash{
		atWrite("accepting", "update-status", 1),
		atLVM("before lvcreate", lvmfake.Create, false),
		atLVM("after lvcreate", lvmfake.Create, true),
		atFormat(),
		atLVM("before the ready tag", lvmfake.Finish, false),
		atLVM("after the ready tag", lvmfake.Finish, true),
		atWrite("writing Ready", "update-status", 2),
	} {
		t.Run(step.name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.start()
				died := make(chan struct{})
				step.arm(r, r.dying(died))
				r.create(order("v"))
				<-died
				r.halt()
				r.start()
				r.wait(5 * time.Second)
				r.wantReady("v")
				disk := r.disk()
				if n := len(disk.LogicalVolumes); n != 1 || disk.FreeBytes != 9*gi {
					t.Errorf("%d LVs and %d bytes free, want 1 and 9 GiB", n, disk.FreeBytes)
				}
				if n := r.formatter.count("v"); n < 1 || n > 2 {
					t.Errorf("formatted %d times, want once or, after a crash, twice", n)
				}
			})
		})
	}
}

func TestRemoveSurvivesCrash(t *testing.T) {
	for _, step := range []crash{
		atLVM("before lvremove", lvmfake.Remove, false),
		atLVM("after lvremove", lvmfake.Remove, true),
		atWrite("deleting the object", "delete", 1),
	} {
		t.Run(step.name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.start()
				r.create(order("v"))
				r.wait(5 * time.Second)
				r.wantReady("v")
				died := make(chan struct{})
				step.arm(r, r.dying(died))
				r.patch("v", `{"spec":{"state":"Absent"}}`)
				<-died
				r.halt()
				r.start()
				r.wait(5 * time.Second)
				if r.get("v") != nil || r.onDisk("v") != nil {
					t.Errorf("object %v, LV %v: want neither", r.get("v"), r.onDisk("v"))
				}
			})
		})
	}
}

func TestExpandSurvivesCrash(t *testing.T) {
	for _, step := range []crash{
		atLVM("before lvextend", lvmfake.Extend, false),
		atLVM("after lvextend", lvmfake.Extend, true),
		atWrite("writing the size", "update-status", 1),
	} {
		t.Run(step.name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.start()
				r.create(order("v"))
				r.wait(5 * time.Second)
				died := make(chan struct{})
				step.arm(r, r.dying(died))
				r.patch("v", `{"spec":{"sizeBytes":2147483648}}`)
				<-died
				r.halt()
				r.start()
				r.wait(5 * time.Second)
				if lv := r.wantReady("v"); lv.Status.AllocatedBytes != 2*gi || r.disk().FreeBytes != 8*gi {
					t.Errorf("allocated %d, want 2 GiB", lv.Status.AllocatedBytes)
				}
			})
		})
	}
}

// A ready tag without a Ready object may be older than the object: the volume counts as staged.
func TestReadyTagCountsAsStaged(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		died := make(chan struct{})
		atLVM("after the ready tag", lvmfake.Finish, true).arm(r, r.dying(died))
		r.create(order("v"))
		<-died
		r.halt()
		r.start()
		r.wait(5 * time.Second)
		if lv := r.wantReady("v"); !lv.Status.Staged {
			t.Error("the volume is not marked as staged")
		}
	})
}

// An agent that could not write Ready, and lives, knows that nobody has staged the volume.
func TestReadyWriteFailsOnce(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		atWrite("writing Ready", "update-status", 2).arm(r, func() error { return errors.New("connection refused") })
		r.create(order("v"))
		r.wait(5 * time.Second)
		if lv := r.wantReady("v"); lv.Status.Staged || lv.Status.Phase != v1alpha1.PhaseReady {
			t.Errorf("%+v, want Ready and not staged", lv.Status)
		}
		if n := r.formatter.count("v"); n != 1 {
			t.Errorf("formatted %d times, want once", n)
		}
	})
}
