package agent

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

// sized orders so many bytes; from orders the bytes of a source.
func sized(bytes int64) func(*v1alpha1.LogicalVolume) {
	return func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = bytes }
}

func from(source string) func(*v1alpha1.LogicalVolume) {
	return func(lv *v1alpha1.LogicalVolume) { lv.Spec.Source = &v1alpha1.VolumeSource{Name: source} }
}

// snapshotOrder is a snapshot of v with room for 16 MiB of changes.
func snapshotOrder(name string, change ...func(*v1alpha1.LogicalVolume)) *v1alpha1.LogicalVolume {
	return order(name, append([]func(*v1alpha1.LogicalVolume){sized(16 * mi), from("v"), func(lv *v1alpha1.LogicalVolume) {
		lv.Spec.Kind = v1alpha1.KindSnapshot
	}}, change...)...)
}

const volumeBytes = 32 * mi

// withVolume starts a node with a volume v of 32 MiB that holds content(1).
func withVolume(t *testing.T, test func(r *rig)) {
	t.Helper()
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("v", sized(volumeBytes)))
		r.wait(5 * time.Second)
		r.wantReady("v")
		r.write("v", content(1, volumeBytes))
		test(r)
	})
}

// write overwrites the beginning of an LV.
func (r *rig) write(name string, data []byte) {
	r.t.Helper()
	file, err := os.OpenFile(r.manager.DevicePath("vg0", name), os.O_WRONLY, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		r.t.Fatal(err)
	}
}

// wantContent fails the test unless the LV holds the data, and zeros behind.
func (r *rig) wantContent(name string, data []byte) {
	r.t.Helper()
	got, err := os.ReadFile(r.manager.DevicePath("vg0", name))
	if err != nil {
		r.t.Fatal(err)
	}
	if len(got) < len(data) || !bytes.Equal(got[:len(data)], data) || !bytes.Equal(got[len(data):], make([]byte, len(got)-len(data))) {
		r.t.Errorf("%s does not hold what it should", name)
	}
}

func TestSnapshot(t *testing.T) {
	withVolume(t, func(r *rig) {
		ran := r.executions(func() {
			r.create(snapshotOrder("s"))
			r.wait(5 * time.Second)
		})
		if ran[lvmfake.Snapshot] != 1 || ran[lvmfake.Finish] != 1 || ran[lvmfake.Report] != 0 {
			t.Errorf("executions: %v, want one snapshot, one finish and no report", ran)
		}
		lv := r.wantReady("s")
		if lv.Status.SourceBytes != volumeBytes || lv.Status.AllocatedBytes != 16*mi {
			t.Errorf("%+v, want 16 MiB with a view of 32 MiB", lv.Status)
		}
		tags := lvm.ParseTags(r.onDisk("s").Tags)
		want := lvm.VolumeTags{
			Owned: true, Ready: true, Snapshot: true, ClaimNamespace: "shop", ClaimName: "data-s", DeviceClass: "ssd", FSType: "ext4", Source: "v",
		}
		if tags != want {
			t.Errorf("tags %+v, want %+v", tags, want)
		}
		r.write("v", content(2, volumeBytes))
		r.wantContent("s", content(1, volumeBytes))
		if r.formatter.count("s") != 0 || r.renewer.count("s") != 0 || len(r.eraser.modes) != 1 {
			t.Error("a snapshot is formatted, renewed or erased")
		}
		storage := r.storage().Status
		if storage.Summary.Volumes != 1 || len(storage.VolumeGroups[0].Recent) != 2 || len(storage.VolumeGroups[0].Orphans) != 0 {
			t.Errorf("published %+v: want one volume, two recent LVs and no orphan", storage)
		}
		if _, err := r.agent.Stageable(t.Context(), "s"); err == nil {
			t.Error("a snapshot can be staged")
		}
	})
}

// More than all of its volume a snapshot never holds.
func TestSnapshotIsNoLargerThanNeeded(t *testing.T) {
	withVolume(t, func(r *rig) {
		r.create(snapshotOrder("s", sized(gi)))
		r.wait(time.Minute)
		// 8192 chunks of 4 KiB, 32 of metadata and the header are 32 MiB and 132 KiB: 9 extents.
		if lv := r.wantReady("s"); lv.Status.AllocatedBytes != 36*mi {
			t.Errorf("%d bytes, want 36 MiB", lv.Status.AllocatedBytes)
		}
	})
}

func TestSnapshotRefusals(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(r *rig)
		change  func(*v1alpha1.LogicalVolume)
		code    codes.Code
		message string
	}{
		{name: "no source", change: from("w"), code: codes.NotFound, message: "w is not on node"},
		{
			name: "source being made", change: from("w"), code: codes.FailedPrecondition, message: "not ready",
			prepare: func(r *rig) {
				if err := r.manager.AddLogicalVolume("vg0", "w", volumeBytes, lvm.TagOwned); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "source ordered Absent", code: codes.FailedPrecondition, message: "ordered to be removed",
			prepare: func(r *rig) {
				r.manager.SetOpen("vg0", "v", true)
				r.patch("v", `{"spec":{"state":"Absent"}}`)
				r.wait(5 * time.Second)
			},
		},
		{
			name: "of a snapshot", change: from("s0"), code: codes.InvalidArgument, message: "snapshot itself",
			prepare: func(r *rig) {
				r.create(snapshotOrder("s0"))
				r.wait(5 * time.Second)
			},
		},
		{
			name: "no space", code: codes.ResourceExhausted, message: "16777216 bytes wanted",
			prepare: func(r *rig) {
				if err := r.manager.AddLogicalVolume("vg0", "host", 9*gi-volumeBytes-12*mi); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "foreign LV of that name", code: codes.AlreadyExists, message: "not Berth's",
			prepare: func(r *rig) {
				if err := r.manager.AddLogicalVolume("vg0", "s", gi, "backup"); err != nil {
					r.t.Fatal(err)
				}
			},
		},
		{
			name: "encrypted and never used", change: from("w"), code: codes.FailedPrecondition, message: "no pod has used it",
			prepare: func(r *rig) {
				tags := lvm.VolumeTags{Owned: true, Ready: true, FSType: "ext4"}
				if err := r.manager.AddLogicalVolume("vg0", "w", volumeBytes+16*mi, tags.Strings()...); err != nil {
					r.t.Fatal(err)
				}
				r.create(order("w", sized(volumeBytes), func(lv *v1alpha1.LogicalVolume) { lv.Spec.Encryption = v1alpha1.EncryptionLUKS2 }))
				r.wait(5 * time.Second)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			withVolume(t, func(r *rig) {
				if test.prepare != nil {
					test.prepare(r)
				}
				snapshot := snapshotOrder("s")
				if test.change != nil {
					test.change(snapshot)
				}
				before := len(r.disk().LogicalVolumes)
				r.create(snapshot)
				r.wait(5 * time.Second)
				if message := r.wantOutcome("s", v1alpha1.PhaseFailed, test.code.String()); !strings.Contains(message, test.message) {
					t.Errorf("message %q lacks %q", message, test.message)
				}
				if after := len(r.disk().LogicalVolumes); after != before {
					t.Errorf("%d LVs on disk, were %d", after, before)
				}
			})
		})
	}
}

func TestSnapshotSurvivesCrash(t *testing.T) {
	for _, step := range []crash{
		onWrite("accepting", "s", "update-status", 1),
		at("before lvcreate", lvmfake.Snapshot, false),
		at("after lvcreate", lvmfake.Snapshot, true),
		at("before the ready tag", lvmfake.Finish, false),
		at("after the ready tag", lvmfake.Finish, true),
		onWrite("writing Ready", "s", "update-status", 2),
	} {
		t.Run(step.name, func(t *testing.T) {
			withVolume(t, func(r *rig) {
				r.afterCrash(step, func() { r.create(snapshotOrder("s")) })
				if lv := r.wantReady("s"); lv.Status.SourceBytes != volumeBytes {
					t.Errorf("%+v, want a view of 32 MiB", lv.Status)
				}
				r.wantContent("s", content(1, volumeBytes))
				if disk := r.disk(); len(disk.LogicalVolumes) != 2 || disk.FreeBytes != 10*gi-volumeBytes-16*mi {
					t.Errorf("on disk: %+v", disk.LogicalVolumes)
				}
			})
		})
	}
}

// onWrite dies before the n-th write of a kind to an object.
func onWrite(name, object, verb string, n int) crash {
	return crash{name, func(r *rig, die func() error) {
		seen := 0
		r.client.SetHook(func(a fake.Action) error {
			if a.Verb != verb || a.Name != object {
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

// afterCrash has the agent die at a step of what an order sets off, and lets the next one go on.
func (r *rig) afterCrash(step crash, order func()) {
	r.t.Helper()
	died := make(chan struct{})
	step.arm(r, r.dying(died))
	order()
	<-died
	r.halt()
	r.start()
	r.wait(30 * time.Second)
}

func TestLostSnapshotIsMadeAgain(t *testing.T) {
	const name = "snap-00000000-0000-0000-0000-000000000002"
	withVolume(t, func(r *rig) {
		r.create(snapshotOrder(name))
		r.wait(5 * time.Second)
		r.wantReady(name)
		r.deleteObject(name)
		r.wait(5 * time.Second)
		lv := r.wantReady(name)
		if lv.Spec.Kind != v1alpha1.KindSnapshot || lv.Spec.Source == nil || lv.Spec.Source.Name != "v" || lv.Status.SourceBytes != volumeBytes ||
			lv.Spec.ClaimRef.UID != "00000000-0000-0000-0000-000000000002" {
			t.Errorf("%+v, want a snapshot of v", lv)
		}
	})
}

// A volume waits for its thick snapshots, and a snapshot for the volume that is made from it.
func TestRemovalWaits(t *testing.T) {
	withVolume(t, func(r *rig) {
		for _, name := range []string{"s", "t"} {
			r.create(snapshotOrder(name))
		}
		r.wait(5 * time.Second)
		r.patch("v", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if message := r.wantOutcome("v", v1alpha1.PhaseReady, codes.FailedPrecondition.String()); !strings.Contains(message, "s, t") {
			t.Errorf("message %q does not name the snapshots", message)
		}
		r.patch("s", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if r.onDisk("s") != nil || r.onDisk("v") == nil {
			t.Error("want v to wait for t")
		}
		r.patch("t", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if disk := r.disk(); len(disk.LogicalVolumes) != 0 || r.get("v") != nil || disk.FreeBytes != 10*gi {
			t.Errorf("left on disk: %+v", disk.LogicalVolumes)
		}
	})
}

// LVM does not grow a volume that has thick snapshots.
func TestGrowthWaitsForSnapshots(t *testing.T) {
	withVolume(t, func(r *rig) {
		r.create(snapshotOrder("s"))
		r.wait(5 * time.Second)
		r.resize(64 * mi)
		r.wait(5 * time.Second)
		r.wantOutcome("v", v1alpha1.PhaseReady, codes.FailedPrecondition.String())
		r.patch("s", `{"spec":{"state":"Absent"}}`)
		r.wait(5 * time.Second)
		if lv := r.wantReady("v"); lv.Status.AllocatedBytes != 64*mi || lv.Status.Code != "" {
			t.Errorf("%+v, want 64 MiB", lv.Status)
		}
	})
}
