package agent

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

func (r *rig) condition(name string) metav1.Condition {
	r.t.Helper()
	c := meta.FindStatusCondition(r.storage().Status.Conditions, name)
	if c == nil {
		r.t.Fatalf("no condition %s", name)
	}
	return *c
}

func TestReport(t *testing.T) {
	inBubble(t, func(r *rig) {
		before := time.Now()
		r.start()
		storage := r.storage()
		if len(storage.OwnerReferences) != 1 || storage.OwnerReferences[0].UID != "uid-1" || storage.OwnerReferences[0].Kind != "Node" {
			t.Errorf("owners %+v, want the Node", storage.OwnerReferences)
		}
		status := storage.Status
		vg := status.VolumeGroups[0]
		if !vg.Usable || vg.Name != "vg0" || vg.SizeBytes != 10*gi || vg.FreeBytes != 10*gi || vg.SpareBytes != gi || vg.ExtentSizeBytes != 4*mi {
			t.Errorf("volume group: %+v", vg)
		}
		if pv := vg.PhysicalVolumes; len(pv) != 1 || pv[0].FreeBytes != 10*gi || !pv[0].Allocatable {
			t.Errorf("physical volumes: %+v", pv)
		}
		want := v1alpha1.DeviceClassStatus{Name: "ssd", VolumeGroup: "vg0", Default: true, Layout: v1alpha1.LayoutLinear}
		if len(status.DeviceClasses) != 1 || status.DeviceClasses[0] != want {
			t.Errorf("device classes: %+v", status.DeviceClasses)
		}
		if want := (v1alpha1.StorageSummary{Size: "10Gi", Free: "9Gi"}); status.Summary != want {
			t.Errorf("summary %+v, want %+v", status.Summary, want)
		}
		if status.ObservedAt.Time.Before(before) {
			t.Errorf("observed at %s, before the start", status.ObservedAt)
		}
		for _, name := range []string{v1alpha1.NodeStorageReady, v1alpha1.NodeStorageConfigValid} {
			if c := r.condition(name); c.Status != metav1.ConditionTrue {
				t.Errorf("condition %+v, want true", c)
			}
		}
	})
}

// An idle agent runs no LVM; it writes a heartbeat of its NodeStorage and its Lease, and nothing else.
func TestIdle(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.wait(time.Minute)
		requests := len(r.client.Actions())
		observed := r.storage().Status.ObservedAt
		ran := r.executions(func() { r.wait(time.Hour) })
		if len(ran) != 0 {
			t.Errorf("executions in an idle hour: %v, want none", ran)
		}
		// A heartbeat each 10 to 11 minutes, the two reads of the test itself.
		if n := len(r.client.Actions()) - requests; n < 5 || n > 8 {
			t.Errorf("%d requests in an idle hour, want 5 to 6 heartbeats and a read", n)
		}
		if later := r.storage().Status.ObservedAt; later.Sub(observed.Time) < 45*time.Minute {
			t.Errorf("observed at %s, an hour after %s", later, observed)
		}
		lease, err := r.kube.CoordinationV1().Leases(v1alpha1.Namespace).Get(t.Context(), "agent-"+node1, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if age := time.Since(lease.Spec.RenewTime.Time); age > 70*time.Second {
			t.Errorf("the Lease was renewed %s ago", age)
		}
	})
}

// A change made on the host is published within five seconds.
func TestOutsideChange(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		if err := r.manager.AddLogicalVolume("vg0", "backup", gi); err != nil {
			t.Fatal(err)
		}
		r.wait(5 * time.Second)
		vg := r.storage().Status.VolumeGroups[0]
		if vg.FreeBytes != 9*gi || vg.Seqno != r.disk().Seqno || len(vg.Recent) != 0 {
			t.Errorf("published %+v, want 9 GiB free and no volume of ours", vg)
		}
	})
}

func TestMissingVolumeGroupAppears(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.writeConfig(strings.ReplaceAll(oneClass, "vg0", "vg1"))
		r.start()
		if vg := r.storage().Status.VolumeGroups[0]; vg.Usable || vg.Reason != v1alpha1.ReasonVolumeGroupMissing {
			t.Errorf("published %+v, want VolumeGroupMissing", vg)
		}
		if c := r.condition(v1alpha1.NodeStorageReady); c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonVolumeGroupMissing {
			t.Errorf("condition %+v", c)
		}
		if !r.sawEvent(v1alpha1.ReasonVolumeGroupMissing) {
			t.Error("no event says that the volume group is missing")
		}
		r.manager.AddVolumeGroup("vg1", gi)
		r.wait(40 * time.Second)
		if vg := r.storage().Status.VolumeGroups[0]; !vg.Usable || vg.SizeBytes != gi {
			t.Errorf("published %+v, want vg1", vg)
		}
		if c := r.condition(v1alpha1.NodeStorageReady); c.Status != metav1.ConditionTrue {
			t.Errorf("condition %+v", c)
		}
	})
}

func TestRefusedVolumeGroup(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.manager.Change("vg0", func(vg *lvm.VolumeGroup) { vg.Refusal = "it is shared" })
		r.wait(5 * time.Second)
		vg := r.storage().Status.VolumeGroups[0]
		if vg.Usable || vg.Reason != v1alpha1.ReasonVolumeGroupRefused || !strings.Contains(vg.Message, "it is shared") {
			t.Errorf("published %+v", vg)
		}
	})
}

// A bad file is refused whole, and the last good one stays in force until a good one comes.
func TestReload(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.writeConfig(oneClass + "- {name: other, volumeGroup: vg9}\n")
		r.wait(5 * time.Second)
		if c := r.condition(v1alpha1.NodeStorageConfigValid); c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, `"vg9"`) {
			t.Errorf("condition %+v, want false and the reason", c)
		}
		if !r.sawEvent(v1alpha1.ReasonConfigInvalid) {
			t.Error("no event says that the file is refused")
		}
		if classes := r.storage().Status.DeviceClasses; len(classes) != 1 || classes[0].Name != "ssd" {
			t.Errorf("device classes %+v, want the last good ones", classes)
		}
		r.writeConfig(strings.ReplaceAll(oneClass, "1Gi", "3Gi"))
		r.wait(5 * time.Second)
		if c := r.condition(v1alpha1.NodeStorageConfigValid); c.Status != metav1.ConditionTrue {
			t.Errorf("condition %+v, want true", c)
		}
		if vg := r.storage().Status.VolumeGroups[0]; vg.SpareBytes != 3*gi {
			t.Errorf("spare %d, want 3 GiB", vg.SpareBytes)
		}
	})
}

func TestNoGoodConfigEver(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.writeConfig("volumeGroups: [{name: vg0, spar: 1Gi}]")
		r.start()
		status := r.storage().Status
		if len(status.DeviceClasses) != 0 || len(status.VolumeGroups) != 0 {
			t.Errorf("published %+v, want no classes", status)
		}
		if c := r.condition(v1alpha1.NodeStorageConfigValid); c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "spar") {
			t.Errorf("condition %+v", c)
		}
	})
}

// A node that joined again gets a NodeStorage and a Lease that are owned by the Node it now is.
func TestNodeJoinsAgain(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		nodes := r.kube.CoreV1().Nodes()
		if err := nodes.Delete(t.Context(), node1, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := r.client.NodeStorages().Delete(t.Context(), node1, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.wait(time.Minute)
		r.addNode("uid-2")
		r.wait(5 * time.Second)
		if owners := r.storage().OwnerReferences; len(owners) != 1 || owners[0].UID != "uid-2" {
			t.Errorf("owners %+v, want the Node as it is now", owners)
		}
	})
}
