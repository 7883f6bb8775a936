//go:build integration

package integration

import (
	"testing"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Two nodes have 10 GiB each. CSIStorageCapacity objects say otherwise: 1 MiB and 5 GiB. Our scheduler does not care;
// the stock scheduler goes by them, and by nothing when there are none.
func testStorageCapacityObjects(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "objects")
	e.addClass(t, "objects", map[string]string{"deviceClass": "objects"})
	d.addNode(t, "objects-a", 10)
	d.addNode(t, "objects-b", 10)
	awaitReports(t, e)
	e.startStockScheduler(t)

	e.addPodFor(t, stockScheduler, "objects-stock", "objects", "2Gi")
	e.awaitEvent(t, "objects-stock", "FailedScheduling", "did not have enough free storage")
	e.addCapacity(t, "objects", "1Mi", "objects-a")
	e.addCapacity(t, "objects", "5Gi", "objects-b")
	if nodes := e.awaitPlaced(t, "objects-stock", 1, 20*time.Second); nodes["objects-stock"] != "objects-b" {
		t.Errorf("the stock scheduler chose %v, want the only node whose object says enough", nodes)
	}

	e.addPod(t, "objects-ours", "objects", "9Gi")
	if nodes := e.awaitPlaced(t, "objects-ours", 1, 10*time.Second); nodes["objects-ours"] != "objects-a" {
		t.Errorf("our scheduler chose %v, want the only node with 9 GiB", nodes)
	}
	if n := d.refusals(); n != 0 {
		t.Errorf("%d volumes refused, want 0", n)
	}
}

// addCapacity makes what csi-provisioner makes for a StorageClass and nodes.
func (e *environment) addCapacity(t *testing.T, class, size string, nodes ...string) {
	t.Helper()
	for _, node := range nodes {
		e.createCapacity(t, class, size, node)
	}
}

func (e *environment) createCapacity(t *testing.T, class, size, node string) {
	t.Helper()
	object := &storagev1.CSIStorageCapacity{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "csisc-",
			Labels: map[string]string{
				"csi.storage.k8s.io/drivername": v1alpha1.DriverName, "csi.storage.k8s.io/managed-by": "external-provisioner",
			},
		},
		NodeTopology:     &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.TopologyKey: node}},
		StorageClassName: class, Capacity: ptr.To(resource.MustParse(size)), MaximumVolumeSize: ptr.To(resource.MustParse(size)),
	}
	if _, err := e.kube.StorageV1().CSIStorageCapacities(v1alpha1.Namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
