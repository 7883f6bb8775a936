//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// volumesWithData makes a pod on each of two nodes at least, writes to each, and returns the checksums by pod.
func volumesWithData(t *testing.T, ns string, pods int) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for i := range pods {
		createPod(t, ns, fmt.Sprintf("pod-%d", i), claim(shippedClass, "512Mi"))
	}
	for i := range pods {
		name := fmt.Sprintf("pod-%d", i)
		running(t, ns, name, 2*time.Minute)
		sums[name] = inPod(t, ns, name, writeData)
	}
	return sums
}

func dataIsThere(t *testing.T, ns string, sums map[string]string) {
	t.Helper()
	for name, sum := range sums {
		running(t, ns, name, 3*time.Minute)
		if got := inPod(t, ns, name, readData); got != sum {
			t.Errorf("the data of %s changed: %s, was %s", name, got, sum)
		}
	}
}

// Deleting the CRDs deletes every LogicalVolume and NodeStorage object, and no LV: the agents make the objects again.
func TestDeletedCRDsRemoveNothing(t *testing.T) {
	ns := namespace(t)
	sums := volumesWithData(t, ns, 3)
	before := map[string]map[string]string{}
	for _, node := range nodes {
		before[node] = logicalVolumes(t, node)
	}
	lab(t, "kubectl", "delete", "crd", "nodestorages.berth.dev", "logicalvolumes.berth.dev")
	time.Sleep(5 * time.Second) // The agents see the deletion and must not act on it.
	for _, node := range nodes {
		sameVolumes(t, node, before[node])
	}
	lab(t, "kubectl", "apply", "-k", os.Getenv("BERTH_MANIFESTS")+"/crds")
	for name := range sums {
		objectIsBack(t, volumeOf(t, ns, name))
	}
	for _, node := range nodes {
		sameVolumes(t, node, before[node])
	}
	for name := range sums {
		deletePod(t, ns, name)
		createPod(t, ns, name, claim(shippedClass, "512Mi"))
	}
	dataIsThere(t, ns, sums)
}

func sameVolumes(t *testing.T, node string, want map[string]string) {
	t.Helper()
	got := logicalVolumes(t, node)
	for name, size := range want {
		if got[name] != size {
			t.Errorf("LV %s on %s: %q bytes, want %s", name, node, got[name], size)
		}
	}
}

// objectIsBack waits until the agent has made a LogicalVolume object again from what is on disk.
func objectIsBack(t *testing.T, name string) {
	t.Helper()
	eventually(t, 2*time.Minute, func() string {
		volume, err := berth.LogicalVolumes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if volume.Status.Phase != v1alpha1.PhaseReady || !volume.Status.Staged {
			return fmt.Sprintf("LogicalVolume %s is %q, staged %v", name, volume.Status.Phase, volume.Status.Staged)
		}
		return ""
	})
}

// Deleting a Node and registering it again removes no LV.
func TestNodeDeletedAndAddedAgain(t *testing.T) {
	ns := namespace(t)
	sums := volumesWithData(t, ns, 2)
	node := getPod(t, ns, "pod-0").Spec.NodeName
	before := logicalVolumes(t, node)
	if err := kube.CoreV1().Nodes().Delete(t.Context(), node, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() string {
		if _, err := berth.NodeStorages().Get(t.Context(), node, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return ""
		}
		return "the NodeStorage of the deleted node is still there"
	})
	powerCycle(t, node)
	sameVolumes(t, node, before)
	for name := range sums {
		if _, err := kube.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			createPod(t, ns, name, claim(shippedClass, "512Mi"))
		}
	}
	dataIsThere(t, ns, sums)
}

// After etcd goes back to before some volumes were made, their objects are made again from the LVs, and none of these
// is removed or formatted.
func TestEtcdRestoredToBeforeVolumes(t *testing.T) {
	namespace(t)
	lab(t, "etcd", "snapshot", "before")
	ns := "restored-away"
	createNamespace(t, ns)
	sums := volumesWithData(t, ns, 2)
	volumes := map[string]string{}
	for name := range sums {
		volumes[volumeOf(t, ns, name)] = getPod(t, ns, name).Spec.NodeName
	}
	lab(t, "etcd", "restore", "before")
	// A restored etcd counts its revisions from where the copy was: watches of before wait for numbers that are long in
	// coming. Kubernetes asks for a restart of all components; here the nodes restart, with kubelets and agents.
	powerCycle(t, nodes...)
	for volume, node := range volumes {
		eventually(t, 3*time.Minute, func() string {
			object, err := berth.LogicalVolumes().Get(t.Context(), volume, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if object.Spec.State != v1alpha1.StatePresent || object.Status.Phase != v1alpha1.PhaseReady {
				t.Fatalf("LogicalVolume %s came back as %s %s", volume, object.Spec.State, object.Status.Phase)
			}
			return ""
		})
		if _, there := logicalVolumes(t, node)[volume]; !there {
			t.Errorf("LV %s is gone from %s", volume, node)
		}
	}
	checksumsOnDisk(t, volumes, sums)
	for volume := range volumes {
		lab(t, "kubectl", "patch", "logicalvolume", volume, "--type", "merge", "-p", `{"spec":{"state":"Absent"}}`)
	}
	for volume, node := range volumes {
		eventually(t, 2*time.Minute, func() string {
			if _, there := logicalVolumes(t, node)[volume]; there {
				return "LV " + volume + " is still there"
			}
			return ""
		})
	}
}

// checksumsOnDisk mounts each LV on its node, read-only, and looks for the data.
func checksumsOnDisk(t *testing.T, volumes map[string]string, sums map[string]string) {
	t.Helper()
	known := map[string]bool{}
	for _, sum := range sums {
		known[strings.Fields(sum)[0]] = true
	}
	for volume, node := range volumes {
		eventually(t, time.Minute, func() string {
			out, err := tryLab(t.Context(), "node", node, "--", "sh", "-c",
				fmt.Sprintf("mkdir -p /run/look && mount -o ro,noload /dev/%s/%s /run/look && md5sum < /run/look/file; umount /run/look", volumeGroup, volume))
			if err != nil {
				return err.Error()
			}
			if !known[strings.Fields(out)[0]] {
				t.Fatalf("LV %s on %s holds other data: %s", volume, node, out)
			}
			return ""
		})
	}
}

// The host's own lvextend in a loop beside the agent's creates breaks neither.
func TestHostUsesTheSameVolumeGroup(t *testing.T) {
	ns := namespace(t)
	onNode(t, nodes[0], "lvcreate -qq -y -n host -l 1 "+volumeGroup)
	t.Cleanup(func() {
		if out, err := tryLab(context.Background(), "node", nodes[0], "--", "lvremove", "-qq", "-y", volumeGroup+"/host"); err != nil {
			t.Error(out, err)
		}
	})
	extended := make(chan error, 1)
	go func() {
		_, err := tryLab(t.Context(), "node", nodes[0], "--", "sh", "-ec",
			"for i in $(seq 30); do lvextend -qq -l +1 "+volumeGroup+"/host; done")
		extended <- err
	}()
	const pods = 8
	for i := range pods {
		createPod(t, ns, fmt.Sprintf("pod-%d", i), claim(shippedClass, "256Mi"))
	}
	for i := range pods {
		running(t, ns, fmt.Sprintf("pod-%d", i), 3*time.Minute)
	}
	if err := <-extended; err != nil {
		t.Error(err)
	}
	noFailedProvisioning(t, ns)
}
