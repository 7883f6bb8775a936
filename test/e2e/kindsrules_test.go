//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/luks"
)

// fullPool writes more than a thin pool has and may grow to, 256 MiB each: the pod is told, and so is who looks at the
// volume, and the next volume goes to a pool that has room. Growth may come after the first writes were refused, so that
// there are more.
func fullPool(t *testing.T) {
	ns := kindsNamespace(t)
	createPod(t, ns, "pod", blockClaim(kindsClass(t, "small-pool", "ext4"), "768Mi"))
	node := running(t, ns, "pod", 3*time.Minute).Spec.NodeName
	id := volumeOf(t, ns, "pod")
	eventually(t, 5*time.Minute, func() string {
		out := inPod(t, ns, "pod", "dd if=/dev/zero of=/dev/data bs=1M count=700 oflag=direct 2>&1 || true")
		if !strings.Contains(out, "No space left") && !strings.Contains(out, "I/O error") {
			t.Fatalf("writing 700 MiB into a pool of 256 MiB: %s", out)
		}
		lv, err := berth.LogicalVolumes().Get(t.Context(), id, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if c := meta.FindStatusCondition(lv.Status.Conditions, "PoolHealthy"); c == nil || c.Status != metav1.ConditionFalse {
			return fmt.Sprintf("conditions %+v", lv.Status.Conditions)
		}
		return ""
	})
	createPod(t, ns, "next", claim(kindsClass(t, "small-pool", "ext4"), "64Mi"))
	if got := running(t, ns, "next", 3*time.Minute).Spec.NodeName; got == node {
		t.Errorf("the next volume is in the full pool on %s", node)
	}
}

const secretYAML = `
apiVersion: v1
kind: Secret
metadata: {name: %s}
stringData: {passphrase: %q}
`

// encrypted shows ciphertext on the device, growth, and that another passphrase opens nothing.
func encrypted(t *testing.T) {
	ns := kindsNamespace(t)
	apply(t, ns, fmt.Sprintf(secretYAML, "right", "a passphrase"))
	class := storageClass(t, "encrypted", map[string]string{
		"deviceClass": "encrypted", "csi.storage.k8s.io/fstype": "ext4",
		"csi.storage.k8s.io/node-stage-secret-name": "right", "csi.storage.k8s.io/node-stage-secret-namespace": ns,
		"csi.storage.k8s.io/node-expand-secret-name": "right", "csi.storage.k8s.io/node-expand-secret-namespace": ns,
	})
	createPod(t, ns, "pod", claim(class, "128Mi"))
	node := running(t, ns, "pod", 4*time.Minute).Spec.NodeName
	const pattern = "berth-e2e-plaintext-pattern"
	inPod(t, ns, "pod", "for i in $(seq 2000); do echo "+pattern+"; done > /data/secret; sync")
	sum := inPod(t, ns, "pod", "md5sum < /data/secret")
	id := volumeOf(t, ns, "pod")
	onDisk := onNode(t, node, "sync; echo 3 > /proc/sys/vm/drop_caches; grep -c "+pattern+" /dev/berth/"+id+" || true")
	if strings.TrimSpace(onDisk) != "0" {
		t.Errorf("the plaintext is on the device: %s lines", onDisk)
	}
	resize(t, ns, "pod", "200Mi")
	eventually(t, 4*time.Minute, func() string {
		if strings.TrimSpace(inPod(t, ns, "pod", "df -Pk /data | awk 'NR==2 {print ($2 > 140000)}'")) == "1" {
			return ""
		}
		return "not grown: " + inPod(t, ns, "pod", "df -Pk /data") + eventsOf(t, ns, "pod")
	})
	deletePod(t, ns, "pod")
	apply(t, ns, fmt.Sprintf(secretYAML, "right", "another passphrase"))
	createPod(t, ns, "pod", claim(class, "200Mi"))
	eventually(t, 2*time.Minute, func() string {
		if events := eventsOf(t, ns, "pod"); !strings.Contains(events, "passphrase") {
			return "no word of the passphrase: " + events
		}
		return ""
	})
	if open := onNode(t, node, "ls /dev/mapper"); strings.Contains(open, luks.Name(id)) {
		t.Errorf("left open: %s", open)
	}
	apply(t, ns, fmt.Sprintf(secretYAML, "right", "a passphrase"))
	running(t, ns, "pod", 4*time.Minute)
	if got := inPod(t, ns, "pod", "md5sum < /data/secret"); got != sum {
		t.Errorf("read back %s, want %s", got, sum)
	}
}

const attributesYAML = `
apiVersion: storage.k8s.io/v1
kind: VolumeAttributesClass
metadata: {name: %s}
driverName: lvm.berth.dev
parameters: {writeBytesPerSecond: %s}
`

// limits holds a pod to 4 MiB a second, and then to more while it runs.
func limits(t *testing.T) {
	ns := kindsNamespace(t)
	apply(t, ns, fmt.Sprintf(attributesYAML, "e2e-slow", "4Mi")+"---"+fmt.Sprintf(attributesYAML, "e2e-fast", "400Mi"))
	pvc := claim(kindsClass(t, "standard", "ext4"), "128Mi")
	pvc.Spec.VolumeAttributesClassName = ptr.To("e2e-slow")
	createPod(t, ns, "pod", pvc)
	running(t, ns, "pod", 3*time.Minute)
	seconds := func() float64 {
		out := inPod(t, ns, "pod", "s=$(date +%s); dd if=/dev/zero of=/data/file bs=1M count=32 conv=fsync 2>/dev/null; e=$(date +%s); echo $((e - s))")
		n, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// The limit may come a moment after the pod's cgroup: 32 MiB take 8 s under it and a fraction of one without.
	eventually(t, 2*time.Minute, func() string {
		if took := seconds(); took < 6 {
			return fmt.Sprintf("32 MiB at 4 MiB a second took %.0f s", took)
		}
		return ""
	})
	claimNow, err := kube.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), "pod", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claimNow.Spec.VolumeAttributesClassName = ptr.To("e2e-fast")
	if _, err := kube.CoreV1().PersistentVolumeClaims(ns).Update(t.Context(), claimNow, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, func() string {
		if took := seconds(); took >= 6 {
			return fmt.Sprintf("32 MiB at 400 MiB a second took %.0f s", took)
		}
		return ""
	})
}

func mkfsOptions(t *testing.T) {
	ns := kindsNamespace(t)
	class := storageClass(t, "inodes", map[string]string{"deviceClass": "standard", "csi.storage.k8s.io/fstype": "ext4", "mkfsOptions": "-N 4096"})
	createPod(t, ns, "pod", claim(class, "64Mi"))
	running(t, ns, "pod", 3*time.Minute)
	if inodes := strings.TrimSpace(inPod(t, ns, "pod", "df -Pi /data | awk 'NR==2 {print $2}'")); inodes != "4096" {
		t.Errorf("%s inodes, want 4096", inodes)
	}
}

// oldBytes fills a volume with a pattern, and looks for it in the ones made of the same extents.
func oldBytes(t *testing.T) {
	ns := kindsNamespace(t)
	class := kindsClass(t, "striped", "ext4")
	const pattern = "berth-e2e-old-bytes"
	createPod(t, ns, "first", blockClaim(class, "256Mi"))
	node := running(t, ns, "first", 3*time.Minute).Spec.NodeName
	inPod(t, ns, "first", "yes "+pattern+" | dd of=/dev/data bs=1M count=256 iflag=fullblock conv=fsync 2>/dev/null")
	deletePod(t, ns, "first")
	lab(t, "kubectl", "delete", "pvc", "first", "-n", ns, "--wait=true")
	createPod(t, ns, "second", blockClaim(class, "256Mi"))
	running(t, ns, "second", 3*time.Minute)
	if found := strings.TrimSpace(inPod(t, ns, "second", "grep -c "+pattern+" /dev/data || true")); found != "0" {
		t.Errorf("%s lines of an earlier tenant (it was on %s)", found, node)
	}
}

const adoptYAML = `
apiVersion: berth.dev/v1alpha1
kind: LogicalVolume
metadata: {name: legacy}
spec:
  nodeName: node1
  deviceClass: standard
  sizeBytes: 67108864
  fsType: ext4
  claimRef: {namespace: %[1]s, name: pod}
  adopt: {volumeGroup: berth}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: legacy, annotations: {pv.kubernetes.io/provisioned-by: lvm.berth.dev}}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 64Mi}
  persistentVolumeReclaimPolicy: Delete
  storageClassName: %[2]s
  claimRef: {namespace: %[1]s, name: pod}
  csi: {driver: lvm.berth.dev, volumeHandle: legacy, fsType: ext4}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: topology.lvm.berth.dev/node, operator: In, values: [node1]}]
`

// adopted gives an LV that was made by hand to a pod.
func adopted(t *testing.T) {
	ns := kindsNamespace(t)
	onNode(t, "node1", `lvcreate -qq -y -L 64M -n legacy berth && mkfs.ext4 -q /dev/berth/legacy && mkdir -p /tmp/legacy &&
		mount /dev/berth/legacy /tmp/legacy && echo from before > /tmp/legacy/note && umount /tmp/legacy && lvchange -qq --addtag berth.dev/adopt berth/legacy`)
	class := kindsClass(t, "standard", "ext4")
	apply(t, ns, fmt.Sprintf(adoptYAML, ns, class))
	pvc := claim(class, "64Mi")
	pvc.Spec.VolumeName = "legacy"
	createPod(t, ns, "pod", pvc)
	running(t, ns, "pod", 3*time.Minute)
	if got := inPod(t, ns, "pod", "cat /data/note"); strings.TrimSpace(got) != "from before" {
		t.Errorf("read %q", got)
	}
}
