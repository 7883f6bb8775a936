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

// wantCopy fails the test unless w is Ready with the content that v had, has an identity of its own, and nothing but
// these LVs is on disk.
func (r *rig) wantCopy(lvs int) {
	r.t.Helper()
	lv := r.wantReady("w")
	if lv.Status.Code != "" || lv.Status.Message != "" || lv.Status.CopiedBytes != 0 || lv.Status.CopiedFrom != "" {
		r.t.Errorf("%+v, want nothing left of the copy", lv.Status)
	}
	r.wantContent("w", content(1, volumeBytes))
	if r.renewer.count("w") == 0 || r.formatter.count("w") != 0 {
		r.t.Errorf("renewed %d times and formatted %d times, want once or more and never", r.renewer.count("w"), r.formatter.count("w"))
	}
	if disk := r.disk(); len(disk.LogicalVolumes) != lvs {
		r.t.Errorf("on disk: %+v, want %d LVs", disk.LogicalVolumes, lvs)
	}
	if orphans := r.storage().Status.VolumeGroups[0].Orphans; len(orphans) != 0 {
		r.t.Errorf("orphans: %+v", orphans)
	}
}

func TestRestore(t *testing.T) {
	for _, bytes := range []int64{volumeBytes, 48 * mi} {
		withVolume(t, func(r *rig) {
			r.create(snapshotOrder("s"))
			r.wait(5 * time.Second)
			r.write("v", content(2, volumeBytes))
			r.create(order("w", sized(bytes), from("s")))
			r.wait(10 * time.Second)
			r.wantCopy(3)
			if lv := r.get("w"); lv.Status.AllocatedBytes != bytes || lv.Status.Staged {
				t.Errorf("%+v, want %d bytes, not staged", lv.Status, bytes)
			}
			tags := lvm.ParseTags(r.onDisk("w").Tags)
			if tags.Source != "s" || tags.Snapshot || tags.FSType != "ext4" {
				t.Errorf("tags %+v", tags)
			}
		})
	}
}

func TestClone(t *testing.T) {
	withVolume(t, func(r *rig) {
		// What is written after the copy has begun is not in it.
		r.copier.setRespond(func(context.Context, string, int64) error {
			r.write("v", content(2, volumeBytes))
			return nil
		})
		r.create(order("w", sized(volumeBytes), from("v")))
		r.wait(10 * time.Second)
		r.wantCopy(2)
		r.wantContent("v", content(2, volumeBytes))
	})
}

// duringCopy dies when so much is copied.
func duringCopy(name string, copied int64) crash {
	return crash{name, func(r *rig, die func() error) {
		r.copier.setRespond(func(_ context.Context, _ string, done int64) error {
			if done < copied {
				return nil
			}
			r.copier.setRespond(nil)
			return die()
		})
	}}
}

func duringRenewal(r *rig, die func() error) {
	r.renewer.setRespond(func() error {
		r.renewer.setRespond(nil)
		return die()
	})
}

func TestCloneSurvivesCrash(t *testing.T) {
	for _, step := range []crash{
		onWrite("accepting", "w", "update-status", 1),
		at("before lvcreate", lvmfake.Create, false),
		at("after lvcreate", lvmfake.Create, true),
		at("before the source is held still", lvmfake.Snapshot, false),
		at("after the source is held still", lvmfake.Snapshot, true),
		onWrite("beginning", "w", "update-status", 2),
		duringCopy("while copying", 8*mi),
		onWrite("writing progress", "w", "update-status", 4),
		duringCopy("at the end of copying", volumeBytes),
		{"while renewing", duringRenewal},
		at("before the ready tag", lvmfake.Finish, false),
		at("after the ready tag", lvmfake.Finish, true),
		at("before the source is let go", lvmfake.Remove, false),
		at("after the source is let go", lvmfake.Remove, true),
		onWrite("writing Ready", "w", "update-status", 4),
	} {
		t.Run(step.name, func(t *testing.T) {
			withVolume(t, func(r *rig) {
				if step.name == "writing progress" {
					r.copier.setRespond(func(context.Context, string, int64) error { return nil })
				}
				r.afterCrash(step, func() { r.create(order("w", sized(volumeBytes), from("v"))) })
				r.wantCopy(2)
				if free := r.disk().FreeBytes; free != 10*gi-2*volumeBytes {
					t.Errorf("%d bytes free", free)
				}
			})
		})
	}
}

func TestRestoreSurvivesCrash(t *testing.T) {
	for _, step := range []crash{
		at("after lvcreate", lvmfake.Create, true),
		duringCopy("while copying", 16*mi),
		{"while renewing", duringRenewal},
		at("after the ready tag", lvmfake.Finish, true),
		onWrite("writing Ready", "w", "update-status", 4),
	} {
		t.Run(step.name, func(t *testing.T) {
			withVolume(t, func(r *rig) {
				r.create(snapshotOrder("s"))
				r.wait(5 * time.Second)
				r.afterCrash(step, func() { r.create(order("w", sized(48*mi), from("s"))) })
				r.wantCopy(3)
			})
		})
	}
}

// What is durable is not copied again, as long as source and target are the same.
func TestCopyResumes(t *testing.T) {
	for _, test := range []struct {
		name string
		// touch is what happens while no agent runs.
		touch func(r *rig)
		want  int64
	}{
		{"same", func(*rig) {}, 16 * mi},
		{"source held anew", func(r *rig) {
			if err := r.manager.RemoveLogicalVolume("vg0", "w-copy"); err != nil {
				r.t.Fatal(err)
			}
		}, 0},
		{"target made anew", func(r *rig) {
			if err := r.manager.RemoveLogicalVolume("vg0", "w"); err != nil {
				r.t.Fatal(err)
			}
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			withVolume(t, func(r *rig) {
				died := make(chan struct{})
				duringCopy("", 16*mi).arm(r, r.dying(died))
				r.create(order("w", sized(volumeBytes), from("v")))
				<-died
				r.halt()
				if got := r.get("w").Status; got.CopiedBytes != 16*mi || !strings.Contains(got.Message, "16Mi of 32Mi") {
					t.Errorf("%+v, want 16 MiB copied", got)
				}
				test.touch(r)
				r.start()
				r.wait(10 * time.Second)
				r.wantCopy(2)
				if requests := r.copier.seen(); len(requests) != 2 || requests[1].FromBytes != test.want {
					t.Errorf("copied: %+v, want the second from %d", requests, test.want)
				}
			})
		})
	}
}

// A copy stops when its volume is not wanted any more, and nothing of it is left.
func TestCopyIsCancelled(t *testing.T) {
	withVolume(t, func(r *rig) {
		r.copier.setRespond(func(ctx context.Context, _ string, _ int64) error {
			<-ctx.Done()
			return ctx.Err()
		})
		r.create(order("w", sized(volumeBytes), from("v")))
		r.wait(5 * time.Second)
		if r.onDisk("w-copy") == nil || len(r.storage().Status.VolumeGroups[0].Orphans) != 0 {
			t.Error("want what holds the source still on disk, and no orphan")
		}
		// Another volume is made meanwhile.
		r.create(order("x"))
		r.wait(5 * time.Second)
		r.wantReady("x")
		r.patch("w", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if disk := r.disk(); r.get("w") != nil || len(disk.LogicalVolumes) != 2 {
			t.Errorf("left on disk: %+v", disk.LogicalVolumes)
		}
	})
}

// A source waits until what is made from it is done.
func TestSourceWaits(t *testing.T) {
	withVolume(t, func(r *rig) {
		r.create(snapshotOrder("s"))
		r.wait(5 * time.Second)
		release := make(chan struct{})
		r.copier.setRespond(func(context.Context, string, int64) error {
			<-release
			return nil
		})
		r.create(order("w", sized(volumeBytes), from("s")))
		r.wait(5 * time.Second)
		r.patch("s", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if message := r.wantOutcome("s", v1alpha1.PhaseReady, codes.FailedPrecondition.String()); !strings.Contains(message, "w is being made") {
			t.Errorf("message %q", message)
		}
		close(release)
		r.wait(5 * time.Second)
		r.wantCopy(2)
		if r.get("s") != nil {
			t.Error("the snapshot is not removed")
		}
	})
}

// What holds a source still overflows: it is held anew, and all is copied again.
func TestFrozenSourceOverflows(t *testing.T) {
	withVolume(t, func(r *rig) {
		once := true
		r.copier.setRespond(func(context.Context, string, int64) error {
			if once {
				once = false
				r.manager.SetSnapshotUsed("vg0", "w-copy", gi)
				return errors.New("input/output error")
			}
			return nil
		})
		r.create(order("w", sized(volumeBytes), from("v")))
		r.wait(time.Minute)
		r.wantCopy(2)
	})
}

func TestFailedRenewalIsTriedAgain(t *testing.T) {
	withVolume(t, func(r *rig) {
		r.renewer.setRespond(func() error { return errors.New("e2fsck: exit status 8") })
		r.create(order("w", sized(volumeBytes), from("v")))
		r.wait(5 * time.Second)
		if message := r.wantOutcome("w", v1alpha1.PhaseAccepted, codes.Aborted.String()); !strings.Contains(message, "exit status 8") {
			t.Errorf("message %q", message)
		}
		r.renewer.setRespond(nil)
		r.wait(time.Minute)
		r.wantCopy(2)
	})
}

func TestRestoreRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(r *rig)
		change  func(*v1alpha1.LogicalVolume)
		code    codes.Code
		message string
	}{
		{name: "no source", change: from("x"), code: codes.NotFound, message: "x is not on node"},
		{name: "too small", change: sized(16 * mi), code: codes.OutOfRange, message: "has 32Mi"},
		{
			name: "another file system", code: codes.InvalidArgument, message: "holds ext4, not btrfs",
			change: func(lv *v1alpha1.LogicalVolume) { lv.Spec.FSType, lv.Spec.SizeBytes = "btrfs", gi },
		},
		{
			name: "encrypted", code: codes.InvalidArgument, message: "encrypted: false",
			change: func(lv *v1alpha1.LogicalVolume) { lv.Spec.Encryption = v1alpha1.EncryptionLUKS2 },
		},
		{
			name: "overflowed", code: codes.FailedPrecondition, message: "not valid any more",
			prepare: func(r *rig) { r.manager.SetSnapshotUsed("vg0", "s", 17*mi) },
		},
		{name: "no room to hold the source still", change: from("v"), code: codes.ResourceExhausted, message: "to hold volume v still", prepare: func(r *rig) {
			// Room for the volume's 8 extents and 4 of the 9 that v's changes may come to.
			if err := r.manager.AddLogicalVolume("vg0", "host", 9*gi-volumeBytes-16*mi-48*mi); err != nil {
				r.t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			withVolume(t, func(r *rig) {
				r.create(snapshotOrder("s"))
				r.wait(5 * time.Second)
				if test.prepare != nil {
					test.prepare(r)
				}
				volume := order("w", sized(volumeBytes), from("s"))
				if test.change != nil {
					test.change(volume)
				}
				before := len(r.disk().LogicalVolumes)
				r.create(volume)
				r.wait(5 * time.Second)
				if message := r.wantOutcome("w", v1alpha1.PhaseFailed, test.code.String()); !strings.Contains(message, test.message) {
					t.Errorf("message %q lacks %q", message, test.message)
				}
				if after := len(r.disk().LogicalVolumes); after != before {
					t.Errorf("%d LVs on disk, were %d", after, before)
				}
			})
		})
	}
}

// What held a source still for a volume that has no object is nobody's: it is listed, and goes with its source.
func TestForgottenCopy(t *testing.T) {
	withVolume(t, func(r *rig) {
		died := make(chan struct{})
		at("", lvmfake.Snapshot, true).arm(r, r.dying(died))
		r.create(order("w", sized(volumeBytes), from("v")))
		<-died
		r.halt()
		r.deleteObject("w")
		r.start()
		r.wait(5 * time.Second)
		orphans := r.storage().Status.VolumeGroups[0].Orphans
		if len(orphans) != 2 || !strings.Contains(orphans[1].Message, "copy from into volume w") {
			t.Fatalf("orphans: %+v", orphans)
		}
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if r.onDisk("v") != nil || r.onDisk("w-copy") != nil {
			t.Error("v or what held it still is left")
		}
	})
}
