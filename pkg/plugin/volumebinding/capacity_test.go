package volumebinding

import (
	"slices"
	"strings"
	"testing"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	intree "k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// capacityOf says that there is 1 byte for the class on every node.
func capacityOf(name, driver, class string) *storagev1.CSIStorageCapacity {
	return &storagev1.CSIStorageCapacity{
		ObjectMeta:       metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{driverNameLabel: driver}},
		StorageClassName: class, NodeTopology: &metav1.LabelSelector{}, Capacity: ptr.To(resource.MustParse("1")),
	}
}

// Claims of our classes fit every node, whatever our CSIDriver and CSIStorageCapacity objects say; other drivers' do as
// these say.
func TestOnlyOtherDriversCapacityCounts(t *testing.T) {
	h := newHandle(node(nil), csiDriver(v1alpha1.DriverName), csiDriver("other"),
		class("ours", v1alpha1.DriverName), class("other", "other"), claim("a", "ours"), claim("b", "other"),
		capacityOf("our-small", v1alpha1.DriverName, "ours"), capacityOf("other-small", "other", "other"))
	binder := newTestBinder(t, h, false)
	h.sync(t)
	for name, want := range map[string][]intree.ConflictReason{"a": nil, "b": {intree.ErrReasonNotEnoughSpace}} {
		logger, pod := klog.FromContext(t.Context()), podWith(name)
		claims, err := binder.GetPodVolumeClaims(logger, pod)
		if err != nil {
			t.Fatal(err)
		}
		_, reasons, err := binder.FindPodVolumes(logger, pod, claims, node(nil))
		if err != nil || !slices.Equal(reasons, want) {
			t.Errorf("claim %s: %v, %v, want %v", name, reasons, err, want)
		}
	}
	capacities, err := h.factory.Storage().V1().CSIStorageCapacities().Lister().List(labels.Everything())
	if err != nil || len(capacities) != 1 || capacities[0].Name != "other-small" {
		t.Errorf("cached %v, %v, want the other driver's alone", capacities, err)
	}
}

// Every profile has its plugin; they share the informer.
func TestTwoProfiles(t *testing.T) {
	h := newHandle()
	newTestBinder(t, h, false)
	newTestBinder(t, h, false)
}

func TestInTreePluginBesideOursIsRefused(t *testing.T) {
	h := newHandle()
	newTestBinder(t, h, true)
	if _, err := New(t.Context(), defaultArgs(), h); err == nil || !strings.Contains(err.Error(), "disable the plugin VolumeBinding") {
		t.Errorf("error %v", err)
	}
}
