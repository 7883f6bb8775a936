package agent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

// adoption orders an LV of vg0 to become a volume.
func adoption(name string, change ...func(*v1alpha1.LogicalVolume)) *v1alpha1.LogicalVolume {
	lv := order(name, change...)
	if lv.Spec.Adopt == nil {
		lv.Spec.Adopt = &v1alpha1.Adoption{VolumeGroup: "vg0"}
	}
	return lv
}

// give makes an LV of an operator's.
func (r *rig) give(name string, bytes int64, tags ...string) {
	r.t.Helper()
	if err := r.manager.AddLogicalVolume("vg0", name, bytes, tags...); err != nil {
		r.t.Fatal(err)
	}
}

func TestAdopt(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.give("data", 2*gi, lvm.TagAdopt, "mine")
		r.disks.signatures = map[string]string{"vg0-data": "ext4"}
		r.start()
		r.create(adoption("data"))
		r.wait(5 * time.Second)
		lv := r.wantReady("data")
		if s := lv.Status; s.AllocatedBytes != 2*gi || !s.Staged || s.VolumeGroup.Seqno != 0 || s.VolumeGroup.UUID != r.disk().UUID {
			t.Errorf("%+v, want 2 GiB, staged, and no seqno", s)
		}
		tags := r.onDisk("data").Tags
		if slices.Contains(tags, lvm.TagAdopt) || !slices.Contains(tags, "mine") || !slices.Contains(tags, "berth.dev/class=ssd") {
			t.Errorf("tags %v: want the operator's own kept, the order gone, and the class", tags)
		}
		if r.formatter.count("data") != 0 {
			t.Error("it was formatted")
		}
		if info, err := r.agent.Stageable(t.Context(), "data"); err != nil || info.FSType != "ext4" {
			t.Errorf("%+v (%v), want it to be staged", info, err)
		}
	})
}

// TestAdoptGoesOn after a crash between the tags and the status.
func TestAdoptGoesOn(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.give("data", 2*gi, lvm.TagOwned, lvm.TagReady)
		r.create(adoption("data", func(lv *v1alpha1.LogicalVolume) { lv.Status.Phase = v1alpha1.PhaseAccepted }))
		r.start()
		if lv := r.wantReady("data"); lv.Status.VolumeGroup.Seqno != 0 || r.manager.Executions()[lvmfake.Adopt] != 0 {
			t.Errorf("%+v, want it ready by the tags", lv.Status)
		}
	})
}

func TestAdoptRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		tags   []string
		none   bool
		spoil  func(r *rig)
		change func(*v1alpha1.LogicalVolume)
		code   codes.Code
		want   string
	}{
		{name: "no such LV", none: true, code: codes.NotFound, want: "vg0/data is not on node node-1"},
		{name: "no tag", tags: []string{"mine"}, code: codes.FailedPrecondition, want: "tag berth.dev/adopt"},
		{name: "in use", tags: []string{lvm.TagAdopt}, spoil: func(r *rig) { r.manager.SetOpen("vg0", "data", true) }, code: codes.FailedPrecondition, want: "in use"},
		{name: "being made", tags: []string{lvm.TagOwned}, code: codes.AlreadyExists, want: "Berth's already"},
		{name: "too small", tags: []string{lvm.TagAdopt}, change: func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = 3 * gi }, code: codes.InvalidArgument, want: "has 2Gi, spec.sizeBytes is 3Gi"},
		{name: "other file system", tags: []string{lvm.TagAdopt}, change: func(lv *v1alpha1.LogicalVolume) { lv.Spec.FSType = "xfs" }, code: codes.InvalidArgument, want: `holds "ext4", spec.fsType is "xfs"`},
		{name: "other volume group", tags: []string{lvm.TagAdopt}, change: func(lv *v1alpha1.LogicalVolume) { lv.Spec.Adopt = &v1alpha1.Adoption{VolumeGroup: "vg9"} }, code: codes.InvalidArgument, want: `"ssd" of node node-1 is not of volume group vg9`},
		{name: "unknown class", tags: []string{lvm.TagAdopt}, change: func(lv *v1alpha1.LogicalVolume) { lv.Spec.DeviceClass = "gone" }, code: codes.InvalidArgument, want: `"gone"`},
		{name: "volume group away", none: true, spoil: func(r *rig) { r.manager.RemoveVolumeGroup("vg0") }, code: codes.NotFound, want: "volume group vg0 is not on node"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				if !test.none {
					r.give("data", 2*gi, test.tags...)
				}
				if test.spoil != nil {
					test.spoil(r)
				}
				r.disks.signatures = map[string]string{"vg0-data": "ext4"}
				r.start()
				lv := adoption("data")
				if test.change != nil {
					test.change(lv)
				}
				r.create(lv)
				r.wait(5 * time.Second)
				if message := r.wantOutcome("data", v1alpha1.PhaseFailed, test.code.String()); !strings.Contains(message, test.want) {
					t.Errorf("message %q lacks %q", message, test.want)
				}
				if !test.none && !slices.Equal(r.onDisk("data").Tags, test.tags) {
					t.Errorf("tags %v, want %v as before", r.onDisk("data").Tags, test.tags)
				}
				if slices.Contains(test.tags, lvm.TagOwned) {
					return
				}
				// Ordering the refused volume away takes the object, never an operator's LV.
				r.patch("data", `{"spec":{"state":"Absent"}}`)
				r.wait(5 * time.Second)
				if there := r.onDisk("data") != nil; there == test.none || r.get("data") != nil {
					t.Errorf("LV there: %t, object %v", there, r.get("data"))
				}
			})
		})
	}
}
