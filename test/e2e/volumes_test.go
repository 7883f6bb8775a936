//go:build e2e

package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	writeData = "dd if=/dev/urandom of=/data/file bs=1M count=8 2>/dev/null; sync; md5sum < /data/file"
	readData  = "md5sum < /data/file"
)

func TestFileSystems(t *testing.T) {
	t.Parallel()
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			class := storageClass(t, fs, map[string]string{"csi.storage.k8s.io/fstype": fs})
			createPod(t, ns, "pod", claim(class, "512Mi"))
			node := running(t, ns, "pod", 3*time.Minute).Spec.NodeName
			if mounted := inPod(t, ns, "pod", "grep ' /data ' /proc/mounts"); !strings.Contains(mounted, " "+fs+" ") {
				t.Errorf("mounted as %q, want %s", mounted, fs)
			}
			sum := inPod(t, ns, "pod", writeData)

			deletePod(t, ns, "pod")
			createPod(t, ns, "pod", claim(class, "512Mi"))
			if got := running(t, ns, "pod", 3*time.Minute).Spec.NodeName; got != node {
				t.Errorf("the pod came back on %s, its volume is on %s", got, node)
			}
			if got := inPod(t, ns, "pod", readData); got != sum {
				t.Errorf("the data changed with the pod: %s, was %s", got, sum)
			}
			grow(t, ns, fs)
		})
	}
}

// grow expands the pod's volume while it is mounted and waits until the pod sees the larger file system.
func grow(t *testing.T, ns, fs string) {
	t.Helper()
	pvc, err := kube.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), "pod", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pvc.Spec.Resources.Requests["storage"] = resource.MustParse("1Gi")
	if _, err := kube.CoreV1().PersistentVolumeClaims(ns).Update(t.Context(), pvc, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The kubelet looks at a mounted volume's size about once a minute.
	eventually(t, 4*time.Minute, func() string {
		size := strings.TrimSpace(inPod(t, ns, "pod", "df -Pk /data | awk 'NR==2 {print ($2 > 800000)}'"))
		if size == "1" {
			return ""
		}
		return fs + " did not grow: " + inPod(t, ns, "pod", "df -Pk /data") + eventsOf(t, ns, "pod")
	})
}

func TestRawBlock(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	createPod(t, ns, "pod", blockClaim(shippedClass, "256Mi"))
	node := running(t, ns, "pod", 3*time.Minute).Spec.NodeName
	if size := strings.TrimSpace(inPod(t, ns, "pod", "blockdev --getsize64 /dev/data")); size != "268435456" {
		t.Errorf("the device has %s bytes, want 268435456", size)
	}
	zeros := strings.TrimSpace(inPod(t, ns, "pod", "tr -d '\\0' < /dev/data | wc -c"))
	if zeros != "0" {
		t.Errorf("a new block volume has %s bytes that are not zero", zeros)
	}
	inPod(t, ns, "pod", "echo mark | dd of=/dev/data bs=512 seek=100 conv=fsync,sync 2>/dev/null")
	deletePod(t, ns, "pod")
	createPod(t, ns, "pod", blockClaim(shippedClass, "256Mi"))
	if got := running(t, ns, "pod", 3*time.Minute).Spec.NodeName; got != node {
		t.Errorf("the pod came back on %s, its volume is on %s", got, node)
	}
	if got := inPod(t, ns, "pod", "dd if=/dev/data bs=512 skip=100 count=1 2>/dev/null | head -c 4"); got != "mark" {
		t.Errorf("read back %q", got)
	}
}

// A power cut of the volume's node loses nothing that was synced.
func TestPowerCut(t *testing.T) {
	ns := namespace(t)
	createPod(t, ns, "pod", claim(shippedClass, "512Mi"))
	node := running(t, ns, "pod", 3*time.Minute).Spec.NodeName
	sum := inPod(t, ns, "pod", writeData)
	powerCycle(t, node)
	eventually(t, 3*time.Minute, func() string {
		out, err := tryLab(t.Context(), "kubectl", "exec", "-n", ns, "pod", "--", "sh", "-c", readData)
		if err != nil {
			return err.Error()
		}
		if out != sum {
			t.Fatalf("the data changed with the power cut: %s, was %s", out, sum)
		}
		return ""
	})
}

// powerCycle cuts the power of nodes, starts them again and waits until their agents report.
func powerCycle(t *testing.T, names ...string) {
	t.Helper()
	cut := time.Now()
	var starting sync.WaitGroup
	for _, node := range names {
		lab(t, "power-cut", node)
		starting.Go(func() {
			if _, err := tryLab(t.Context(), "start", node); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, node := range names {
		eventually(t, 3*time.Minute, func() string { return renewedSince(t, node, cut) })
	}
}

func renewedSince(t *testing.T, node string, moment time.Time) string {
	lease, err := kube.CoordinationV1().Leases("berth-system").Get(t.Context(), "agent-"+node, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Time.Before(moment) {
		return "the agent of " + node + " has not come back"
	}
	return ""
}
