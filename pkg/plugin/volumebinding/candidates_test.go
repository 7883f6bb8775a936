package volumebinding

import (
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	intree "k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// ourVolume is a volume of class ours, of 1 GiB, that refers to a claim with the UID; with none when that is empty.
func ourVolume(name, driver string, claimUID types.UID) *v1.PersistentVolume {
	volume := volume("claim", nodeName)
	volume.Name, volume.Spec.StorageClassName = name, "ours"
	volume.Spec.Capacity = v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")}
	volume.Spec.AccessModes = []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}
	volume.Status.Phase = v1.VolumeAvailable
	volume.Spec.CSI = &v1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: name}
	if volume.Spec.ClaimRef.UID = claimUID; claimUID == "" {
		volume.Spec.ClaimRef = nil
	}
	return volume
}

// Only volumes that were made for the claim they refer to are no candidates.
func TestCandidates(t *testing.T) {
	given := ourVolume("pvc-5", v1alpha1.DriverName, "5")
	given.Spec.ClaimRef.UID = ""
	h := newHandle(
		ourVolume("pvc-1", v1alpha1.DriverName, "1"), ourVolume("free", v1alpha1.DriverName, ""),
		ourVolume("pvc-3", v1alpha1.DriverName, "other"), ourVolume("pvc-4", "other", "4"), given)
	newTestBinder(t, h, false)
	h.sync(t)
	volumes, err := h.factory.Core().V1().PersistentVolumes().Informer().GetIndexer().ByIndex(byClass, "ours")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, volume := range volumes {
		names = append(names, volume.(*v1.PersistentVolume).Name)
	}
	slices.Sort(names)
	if want := []string{"free", "pvc-3", "pvc-4", "pvc-5"}; !slices.Equal(names, want) {
		t.Errorf("candidates %v, want %v", names, want)
	}
}

// The in-tree code binds a claim to a volume made by hand, and provisions for one that only others' volumes would fit.
func TestClaimsAreMatchedWithCandidates(t *testing.T) {
	for name, test := range map[string]struct {
		volume                     *v1.PersistentVolume
		wantStatic, wantProvisions int
	}{
		"made by hand":           {ourVolume("free", v1alpha1.DriverName, ""), 1, 0},
		"made for another claim": {ourVolume("pvc-1", v1alpha1.DriverName, "1"), 0, 1},
	} {
		labels := map[string]string{v1alpha1.TopologyKey: nodeName}
		h := newHandle(node(labels), class("ours", v1alpha1.DriverName), claim("a", "ours"), test.volume)
		binder := newTestBinder(t, h, false)
		h.sync(t)
		found, _ := findVolumes(t, binder, podWith("a"), node(labels))
		if len(found.StaticBindings) != test.wantStatic || len(found.DynamicProvisions) != test.wantProvisions {
			t.Errorf("%s: %d bound, %d provisioned, want %d and %d", name, len(found.StaticBindings), len(found.DynamicProvisions),
				test.wantStatic, test.wantProvisions)
		}
	}
}

// A bound claim's volume is found by its name: a node that cannot reach it is refused.
func TestVolumesOfBoundClaimsAreFound(t *testing.T) {
	own := bound(claim("a", "ours"))
	own.UID, own.Spec.VolumeName = "1", "pvc-1"
	h := newHandle(class("ours", v1alpha1.DriverName), own, ourVolume("pvc-1", v1alpha1.DriverName, "1"))
	binder := newTestBinder(t, h, false)
	h.sync(t)
	for at, want := range map[string][]intree.ConflictReason{nodeName: nil, "elsewhere": {intree.ErrReasonNodeConflict}} {
		_, reasons := findVolumes(t, binder, podWith("a"), node(map[string]string{v1alpha1.TopologyKey: at}))
		if !slices.Equal(reasons, want) {
			t.Errorf("on %s: %v, want %v", at, reasons, want)
		}
	}
}

func findVolumes(t *testing.T, binder intree.SchedulerVolumeBinder, pod *v1.Pod, node *v1.Node) (*intree.PodVolumes, intree.ConflictReasons) {
	t.Helper()
	logger := klog.FromContext(t.Context())
	claims, err := binder.GetPodVolumeClaims(logger, pod)
	if err != nil {
		t.Fatal(err)
	}
	volumes, reasons, err := binder.FindPodVolumes(logger, pod, claims, node)
	if err != nil {
		t.Fatal(err)
	}
	return volumes, reasons
}
