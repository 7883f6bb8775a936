package agent

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

const claimVolume = "pvc-00000000-0000-0000-0000-000000000001"

func (r *rig) deleteObject(name string) {
	r.t.Helper()
	if err := r.client.LogicalVolumes().Delete(r.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// wantRecovered fails the test unless the object was made again as the volume's tags say.
func (r *rig) wantRecovered(name string) {
	r.t.Helper()
	lv := r.wantReady(name)
	want := order(name).Spec
	want.ClaimRef.UID = "00000000-0000-0000-0000-000000000001"
	if !reflect.DeepEqual(lv.Spec, want) {
		r.t.Errorf("spec %+v, want %+v", lv.Spec, want)
	}
	if !lv.Status.Staged {
		r.t.Error("the volume is not marked as staged: unknown counts as yes")
	}
	if n := r.formatter.count(name); n != 1 {
		r.t.Errorf("formatted %d times, want once, when it was made", n)
	}
}

// An object that vanishes orders nothing, whether the agent watches or is away.
func TestObjectVanishes(t *testing.T) {
	for _, away := range []bool{false, true} {
		inBubble(t, func(r *rig) {
			r.start()
			r.create(order(claimVolume))
			r.wait(5 * time.Second)
			r.wantReady(claimVolume)
			if away {
				r.halt()
			}
			ran := r.executions(func() {
				r.deleteObject(claimVolume)
				r.wait(5 * time.Second)
			})
			if len(ran) != 0 {
				t.Errorf("executions: %v, want none", ran)
			}
			if away {
				r.start()
			}
			r.wantRecovered(claimVolume)
			if !r.sawEvent(v1alpha1.ReasonRecovered) {
				t.Error("no event says that the object was made again")
			}
		})
	}
}

// A volume whose object vanishes while it is formatted was never anybody's: it is listed and left alone.
func TestOrphans(t *testing.T) {
	for _, test := range []struct {
		name    string
		tags    lvm.VolumeTags
		message string
	}{
		{"never ready", lvm.VolumeTags{Owned: true, DeviceClass: "ssd", ClaimNamespace: "shop", ClaimName: "data"}, "never ready"},
		{"no class", lvm.VolumeTags{Owned: true, Ready: true, ClaimNamespace: "shop", ClaimName: "data"}, "no device class"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.start()
				if err := r.manager.AddLogicalVolume("vg0", "v", gi, test.tags.Strings()...); err != nil {
					t.Fatal(err)
				}
				r.wait(5 * time.Second)
				orphans := r.storage().Status.VolumeGroups[0].Orphans
				if len(orphans) != 1 || orphans[0].Name != "v" || orphans[0].SizeBytes != gi || orphans[0].Claim != "shop/data" ||
					!strings.Contains(orphans[0].Message, test.message) {
					t.Fatalf("orphans: %+v", orphans)
				}
				if !r.sawEvent(v1alpha1.ReasonOrphan) {
					t.Error("no event names the orphan")
				}
				r.wait(time.Hour)
				if r.onDisk("v") == nil || r.get("v") != nil {
					t.Error("the orphan was touched")
				}
				// The documented way to remove one: an order.
				r.create(order("v", func(lv *v1alpha1.LogicalVolume) { lv.Spec.State = v1alpha1.StateAbsent }))
				r.wait(5 * time.Second)
				if r.onDisk("v") != nil || len(r.storage().Status.VolumeGroups[0].Orphans) != 0 {
					t.Error("the orphan is not removed by order")
				}
			})
		})
	}
}

// An LV whose object names another node is not fought over.
func TestOrphanOfAnotherNode(t *testing.T) {
	inBubble(t, func(r *rig) {
		tags := lvm.VolumeTags{Owned: true, Ready: true, DeviceClass: "ssd"}
		if err := r.manager.AddLogicalVolume("vg0", "v", gi, tags.Strings()...); err != nil {
			t.Fatal(err)
		}
		r.create(order("v", func(lv *v1alpha1.LogicalVolume) { lv.Spec.NodeName = "node-2" }))
		r.start()
		orphans := r.storage().Status.VolumeGroups[0].Orphans
		if len(orphans) != 1 || !strings.Contains(orphans[0].Message, "node-2") {
			t.Errorf("orphans: %+v, want one that names node-2", orphans)
		}
	})
}

// A Ready volume whose LV is gone is an error that stands, not an order to make it anew.
func TestLostVolume(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		if err := r.manager.RemoveLogicalVolume("vg0", "v"); err != nil {
			t.Fatal(err)
		}
		r.wait(5 * time.Second)
		lv := r.get("v")
		c := meta.FindStatusCondition(lv.Status.Conditions, v1alpha1.LogicalVolumeHealthy)
		if lv.Status.Phase != v1alpha1.PhaseReady || c == nil || c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonLogicalVolumeLost {
			t.Errorf("%+v, want phase Ready and condition Healthy false", lv.Status)
		}
		if !r.sawEvent(v1alpha1.ReasonLogicalVolumeLost) {
			t.Error("no event says that the volume is lost")
		}
		if _, err := r.agent.Stageable(t.Context(), "v"); err == nil {
			t.Error("a lost volume can be staged")
		}
		r.halt()
		r.start()
		r.wait(time.Hour)
		if r.onDisk("v") != nil || r.formatter.count("v") != 1 {
			t.Error("the lost volume was made again")
		}
	})
}

// A volume group that goes and comes back takes its volumes' health with it.
func TestVolumeGroupReturns(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		r.manager.Change("vg0", func(vg *lvm.VolumeGroup) { vg.PhysicalVolumes[0].Missing = true })
		r.wait(5 * time.Second)
		if vg := r.storage().Status.VolumeGroups[0]; vg.Usable || vg.Reason != v1alpha1.ReasonPhysicalVolumeLost {
			t.Errorf("published %+v, want PhysicalVolumeMissing", vg)
		}
		if classes := r.storage().Status.DeviceClasses; len(classes) != 1 {
			t.Errorf("device classes %+v, want the class still listed", classes)
		}
		r.manager.Change("vg0", func(vg *lvm.VolumeGroup) { vg.PhysicalVolumes[0].Missing = false })
		r.wait(40 * time.Second)
		if vg := r.storage().Status.VolumeGroups[0]; !vg.Usable {
			t.Errorf("published %+v, want it usable again", vg)
		}
		r.wantReady("v")
	})
}

func TestActivatesAtStart(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		for _, name := range []string{"a", "b"} {
			r.create(order(name))
		}
		r.wait(5 * time.Second)
		r.halt()
		for _, name := range []string{"a", "b"} {
			r.manager.SetActive("vg0", name, false)
		}
		ran := r.executions(r.start)
		if ran[lvmfake.Activate] != 1 || !r.onDisk("a").Active || !r.onDisk("b").Active {
			t.Errorf("executions %v, want one activation of both volumes", ran)
		}
	})
}
