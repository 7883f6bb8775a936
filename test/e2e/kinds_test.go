//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// kindsGroups are the volume groups of test/e2e/manifests/config.yaml.
const kindsGroups = "berth kinds looped bare"

// TestKinds shows the volumes that need more than a linear LV, each from inside a pod. hack/e2e-kinds.sh brings up its
// cluster.
func TestKinds(t *testing.T) {
	t.Run("once all agents serve every class", kindsServed)
	t.Run("examples", examples)
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"thin ext4", func(t *testing.T) { copies(t, "thin", "ext4") }},
		{"thin xfs", func(t *testing.T) { copies(t, "thin", "xfs") }},
		{"thin btrfs", func(t *testing.T) { copies(t, "thin", "btrfs") }},
		{"thick ext4", func(t *testing.T) { copies(t, "standard", "ext4") }},
		{"thick xfs", func(t *testing.T) { copies(t, "standard", "xfs") }},
		{"thick block", blockCopies},
		{"striped", func(t *testing.T) { grows(t, "striped") }},
		{"raid1", func(t *testing.T) { grows(t, "raid1") }},
		{"raid5", func(t *testing.T) { grows(t, "raid5") }},
		{"raid6", func(t *testing.T) { grows(t, "raid6") }},
		{"raid10", func(t *testing.T) { grows(t, "raid10") }},
		{"looped", func(t *testing.T) { grows(t, "looped") }},
		{"bare", func(t *testing.T) { grows(t, "bare") }},
		{"full pool", fullPool},
		{"encrypted", encrypted},
		{"limits", limits},
		{"mkfs options", mkfsOptions},
		{"old bytes", oldBytes},
		{"adopted", adopted},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

func kindsServed(t *testing.T) {
	for _, node := range nodes[:2] {
		eventually(t, 3*time.Minute, func() string {
			storage, err := berth.NodeStorages().Get(t.Context(), node, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if c := meta.FindStatusCondition(storage.Status.Conditions, "Ready"); c == nil || c.Status != metav1.ConditionTrue {
				return fmt.Sprintf("%s is not ready: %+v", node, storage.Status.Conditions)
			}
			if len(storage.Status.DeviceClasses) < 10 {
				return fmt.Sprintf("%s serves %d classes", node, len(storage.Status.DeviceClasses))
			}
			return ""
		})
	}
}

// examples applies every example that is shipped and waits until its pods run and its snapshot can be used.
func examples(t *testing.T) {
	ns := kindsNamespace(t)
	files, err := filepath.Glob("../../manifests/examples/[^k]*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples (%v)", len(files), err)
	}
	for _, file := range files {
		lab(t, "kubectl", "apply", "-n", ns, "-f", file)
	}
	t.Cleanup(func() {
		for _, args := range [][]string{
			{"delete", "volumesnapshot,statefulset,pod", "--all", "-n", ns},
			{"delete", "--ignore-not-found", "-f", "../../manifests/examples/layouts.yaml", "-n", ns},
		} {
			if _, err := tryLab(context.Background(), append([]string{"kubectl"}, args...)...); err != nil {
				t.Error(err)
			}
		}
	})
	eventually(t, 4*time.Minute, func() string {
		pods, err := kube.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		// The StatefulSet's are three, and there is one in each other file but that of the VolumeAttributesClass.
		if want := len(files) + 1; len(pods.Items) != want {
			return fmt.Sprintf("%d pods, want %d", len(pods.Items), want)
		}
		for i := range pods.Items {
			if pod := &pods.Items[i]; !ready(pod) {
				return fmt.Sprintf("pod %s is %s: %s", pod.Name, pod.Status.Phase, eventsOf(t, ns, pod.Name))
			}
		}
		return ""
	})
	snapshotReady(t, ns, "example", time.Minute)
}

// kindsNamespace is namespace for the cluster of hack/e2e-kinds.sh.
func kindsNamespace(t *testing.T) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", " ", "-").Replace(t.Name()))
	createNamespace(t, name)
	t.Cleanup(func() { leaveNothingIn(t, name, nodes[:2], kindsGroups) })
	return name
}

// kindsClass is a StorageClass of a device class and file system.
func kindsClass(t *testing.T, deviceClass, fs string) string {
	t.Helper()
	return storageClass(t, deviceClass+"-"+fs, map[string]string{"deviceClass": deviceClass, "csi.storage.k8s.io/fstype": fs})
}

// apply makes objects of a text in YAML, in a namespace.
func apply(t *testing.T, ns, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lab(t, "kubectl", "apply", "-n", ns, "-f", file)
}

// from is a claim with contents.
func from(pvc *corev1.PersistentVolumeClaim, group, kind, name string) *corev1.PersistentVolumeClaim {
	pvc.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: kind, Name: name}
	if group != "" {
		pvc.Spec.DataSource.APIGroup = ptr.To(group)
	}
	return pvc
}

const snapshotGroup = "snapshot.storage.k8s.io"

// snapshot takes a snapshot of a claim and waits until it can be used.
func snapshot(t *testing.T, ns, name, claimName string) {
	t.Helper()
	requestSnapshot(t, ns, name, claimName)
	snapshotReady(t, ns, name, 2*time.Minute)
}

// requestSnapshot orders a snapshot of a claim.
func requestSnapshot(t *testing.T, ns, name, claimName string) {
	t.Helper()
	apply(t, ns, fmt.Sprintf(`
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: e2e}
driver: lvm.berth.dev
deletionPolicy: Delete
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: %s}
spec: {volumeSnapshotClassName: e2e, source: {persistentVolumeClaimName: %s}}
`, name, claimName))
	t.Cleanup(func() {
		if _, err := tryLab(context.Background(), "kubectl", "delete", "volumesnapshot", name, "-n", ns, "--ignore-not-found", "--wait=false"); err != nil {
			t.Log(err)
		}
	})
}

func snapshotReady(t *testing.T, ns, name string, limit time.Duration) {
	t.Helper()
	eventually(t, limit, func() string {
		out, err := tryLab(t.Context(), "kubectl", "get", "volumesnapshot", name, "-n", ns, "-o", "jsonpath={.status.readyToUse} {.status.error.message}")
		if err != nil {
			return err.Error()
		}
		if strings.HasPrefix(out, "true") {
			return ""
		}
		return "snapshot: " + out
	})
}

// copies takes a snapshot of a volume in use, restores it to a larger volume and clones it, and uses all of them at once.
func copies(t *testing.T, deviceClass, fs string) {
	ns := kindsNamespace(t)
	class := kindsClass(t, deviceClass, fs)
	createPod(t, ns, "source", claim(class, "320Mi"))
	node := running(t, ns, "source", 3*time.Minute).Spec.NodeName
	sum := inPod(t, ns, "source", writeData)
	snapshot(t, ns, "before", "source")
	after := inPod(t, ns, "source", writeData)

	createPod(t, ns, "restored", from(claim(class, "400Mi"), snapshotGroup, "VolumeSnapshot", "before"))
	createPod(t, ns, "cloned", from(claim(class, "320Mi"), "", "PersistentVolumeClaim", "source"))
	for name, want := range map[string]string{"restored": sum, "cloned": after} {
		if got := running(t, ns, name, 4*time.Minute).Spec.NodeName; got != node {
			t.Errorf("pod %s is on %s, its source on %s", name, got, node)
		}
		if got := inPod(t, ns, name, readData); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// 400 MiB less what a file system takes for itself.
	if larger := strings.TrimSpace(inPod(t, ns, "restored", "df -Pk /data | awk 'NR==2 {print ($2 > 330000)}'")); larger != "1" {
		t.Errorf("the restored file system did not grow: %s", inPod(t, ns, "restored", "df -Pk /data"))
	}
	inPod(t, ns, "restored", "echo more > /data/more; sync")
	if got := inPod(t, ns, "source", readData); got != after {
		t.Errorf("the source changed with its copy: %s, was %s", got, after)
	}
}

func blockCopies(t *testing.T) {
	ns := kindsNamespace(t)
	class := kindsClass(t, "standard", "ext4")
	createPod(t, ns, "source", blockClaim(class, "64Mi"))
	running(t, ns, "source", 3*time.Minute)
	const write, read = "dd if=/dev/urandom of=/dev/data bs=1M count=64 conv=fsync 2>/dev/null; dd if=/dev/data bs=1M count=64 2>/dev/null | md5sum",
		"dd if=/dev/data bs=1M count=64 2>/dev/null | md5sum"
	sum := inPod(t, ns, "source", write)
	createPod(t, ns, "cloned", from(blockClaim(class, "128Mi"), "", "PersistentVolumeClaim", "source"))
	running(t, ns, "cloned", 4*time.Minute)
	if got := inPod(t, ns, "cloned", read); got != sum {
		t.Errorf("cloned: %s, want %s", got, sum)
	}
	if rest := strings.TrimSpace(inPod(t, ns, "cloned", "dd if=/dev/data bs=1M skip=64 2>/dev/null | tr -d '\\0' | wc -c")); rest != "0" {
		t.Errorf("behind the copy are %s bytes that are not zero", rest)
	}
}

// grows makes a volume of a class and expands it in use.
func grows(t *testing.T, deviceClass string) {
	ns := kindsNamespace(t)
	class := kindsClass(t, deviceClass, "ext4")
	createPod(t, ns, "pod", claim(class, "128Mi"))
	running(t, ns, "pod", 3*time.Minute)
	sum := inPod(t, ns, "pod", writeData)
	resize(t, ns, "pod", "200Mi")
	eventually(t, 4*time.Minute, func() string {
		if strings.TrimSpace(inPod(t, ns, "pod", "df -Pk /data | awk 'NR==2 {print ($2 > 140000)}'")) == "1" {
			return ""
		}
		return "not grown: " + inPod(t, ns, "pod", "df -Pk /data") + eventsOf(t, ns, "pod")
	})
	if got := inPod(t, ns, "pod", readData); got != sum {
		t.Errorf("the data changed with the size: %s, was %s", got, sum)
	}
	id := volumeOf(t, ns, "pod")
	lv, err := berth.LogicalVolumes().Get(t.Context(), id, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	layout := strings.TrimSpace(onNode(t, lv.Spec.NodeName, "lvs --noheadings -o lv_layout "+lv.Status.VolumeGroup.Name+"/"+id))
	if strings.HasPrefix(deviceClass, "raid") && !strings.Contains(layout, deviceClass) {
		t.Errorf("LVM says %q, want %s", layout, deviceClass)
	}
}

func resize(t *testing.T, ns, name, size string) {
	t.Helper()
	pvc, err := kube.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pvc.Spec.Resources.Requests["storage"] = resource.MustParse(size)
	if _, err := kube.CoreV1().PersistentVolumeClaims(ns).Update(t.Context(), pvc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
