package agent

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

const poolConfig = `
volumeGroups:
- name: vg0
  spare: 1Gi
deviceClasses:
- {name: ssd, volumeGroup: vg0, default: true}
- {name: thin, volumeGroup: vg0, thinPool: {name: pool, size: 256Mi}}
`

func thin(lv *v1alpha1.LogicalVolume) { lv.Spec.DeviceClass = "thin" }

// withThinVolume starts a node with a thin volume v of 32 MiB that holds content(1), and a snapshot s of it; v has been
// overwritten since.
func withThinVolume(t *testing.T, test func(r *rig)) {
	t.Helper()
	inBubble(t, func(r *rig) {
		r.writeConfig(poolConfig)
		r.start()
		r.wait(time.Minute)
		r.create(order("v", sized(volumeBytes), thin))
		r.wait(5 * time.Second)
		r.wantReady("v")
		r.write("v", content(1, volumeBytes))
		r.create(snapshotOrder("s", sized(volumeBytes), thin))
		r.wait(5 * time.Second)
		if lv := r.wantReady("s"); lv.Status.SourceBytes != volumeBytes || lv.Status.AllocatedBytes != volumeBytes {
			t.Fatalf("%+v, want a snapshot of 32 MiB", lv.Status)
		}
		r.write("v", content(2, volumeBytes))
		test(r)
	})
}

// In its source's pool a volume is a snapshot itself: nothing is copied, and each of the three goes alone.
func TestFork(t *testing.T) {
	withThinVolume(t, func(r *rig) {
		ran := r.executions(func() {
			r.create(order("w", sized(48*mi), from("s"), thin))
			r.wait(5 * time.Second)
		})
		if ran[lvmfake.Snapshot] != 1 || ran[lvmfake.Extend] != 1 || ran[lvmfake.Create] != 0 || len(r.copier.seen()) != 0 {
			t.Errorf("executions %v, copies %v: want a snapshot and its extension only", ran, r.copier.seen())
		}
		// v, s, w and the pool.
		r.wantCopy(4)
		if lv := r.get("w"); lv.Status.AllocatedBytes != 48*mi || lv.Status.Staged {
			t.Errorf("%+v, want 48 MiB, not staged", lv.Status)
		}
		if tags := lvm.ParseTags(r.onDisk("w").Tags); tags.Snapshot || tags.Source != "s" || tags.DeviceClass != "thin" {
			t.Errorf("tags %+v", tags)
		}
		for _, name := range []string{"v", "s"} {
			r.patch(name, `{"spec":{"state":"Absent"}}`)
			r.wait(5 * time.Second)
			if r.get(name) != nil || r.onDisk(name) != nil {
				t.Errorf("%s is not removed at once", name)
			}
		}
		r.wantCopy(2)
	})
}

func TestForkSurvivesCrash(t *testing.T) {
	for _, step := range []crash{
		onWrite("accepting", "w", "update-status", 1),
		at("before lvcreate", lvmfake.Snapshot, false),
		at("after lvcreate", lvmfake.Snapshot, true),
		at("before lvextend", lvmfake.Extend, false),
		at("after lvextend", lvmfake.Extend, true),
		{"while renewing", duringRenewal},
		at("before the ready tag", lvmfake.Finish, false),
		at("after the ready tag", lvmfake.Finish, true),
		onWrite("writing Ready", "w", "update-status", 2),
	} {
		t.Run(step.name, func(t *testing.T) {
			withThinVolume(t, func(r *rig) {
				r.afterCrash(step, func() { r.create(order("w", sized(48*mi), from("s"), thin)) })
				r.wantCopy(4)
				if lv := r.get("w"); lv.Status.AllocatedBytes != 48*mi || len(r.copier.seen()) != 0 {
					t.Errorf("%+v, want 48 MiB and nothing copied", lv.Status)
				}
			})
		})
	}
}

// Into the pool and out of it bytes are copied.
func TestCopyAcrossLayouts(t *testing.T) {
	for _, test := range []struct {
		name   string
		source string
		thin   bool
		// zeroed: zeros need not be written. lvs counts the pool.
		zeroed bool
		lvs    int
	}{
		{"out of the pool", "s", false, false, 4},
		{"clone out of the pool", "u", false, false, 5},
		{"into the pool", "x", true, true, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			withThinVolume(t, func(r *rig) {
				class := "ssd"
				if test.thin {
					class = "thin"
				}
				if test.source != "s" {
					r.create(order(test.source, sized(volumeBytes), func(lv *v1alpha1.LogicalVolume) {
						if !test.thin {
							thin(lv)
						}
					}))
					r.wait(5 * time.Second)
					r.wantReady(test.source)
					r.write(test.source, content(1, volumeBytes))
				}
				r.create(order("w", sized(48*mi), from(test.source), func(lv *v1alpha1.LogicalVolume) { lv.Spec.DeviceClass = class }))
				r.wait(10 * time.Second)
				r.wantCopy(test.lvs)
				requests := r.copier.seen()
				if len(requests) != 1 || requests[0].Zeroed != test.zeroed {
					t.Errorf("copied %+v, want once, zeroed %t", requests, test.zeroed)
				}
			})
		})
	}
}

// A pool that has no room left for all bytes of a snapshot, were they to change, takes none.
func TestThinSnapshotIsCounted(t *testing.T) {
	withThinVolume(t, func(r *rig) {
		// 256 MiB less v and s.
		r.create(order("big", sized(176*mi), thin))
		r.wait(5 * time.Second)
		r.wantReady("big")
		r.create(snapshotOrder("t", sized(volumeBytes), thin))
		r.wait(5 * time.Second)
		if message := r.wantOutcome("t", v1alpha1.PhaseFailed, codes.ResourceExhausted.String()); !strings.Contains(message, "thin pool pool") {
			t.Errorf("message %q", message)
		}
	})
}
