//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// story is something that happens to a volume on a node: what goes before, what a crash falls into, and how it must end.
type story struct{ before, event, end func(v *victim) }

// victim is the volume of one story.
type victim struct {
	*testing.T
	ns, node string
	// class is a StorageClass whose volumes are on the node.
	class string
	// sum is the checksum of what was written, volumeID the volume that was deleted.
	sum, volumeID string
}

// crashes are the steps: each program that the agent runs in a story, and before or after it.
var crashes = []struct {
	name string
	story
	parameters, when, step string
}{
	{"create-before-lvcreate", creation, standard, "before", "*lvcreate*"},
	{"create-after-lvcreate", creation, standard, "after", "*lvcreate*"},
	{"create-before-mkfs", creation, standard, "before", "*mkfs*"},
	{"create-after-mkfs", creation, standard, "after", "*mkfs*"},
	{"create-after-ready", creation, standard, "after", "*lvchange*berth.dev/ready*"},
	{"stage-after-fsck", creation, standard, "after", "fsck*"},
	{"stage-after-mount", creation, standard, "after", "mount *globalmount*"},
	{"publish-after-bind", creation, standard, "after", "mount *bind*"},
	{"raid-after-legs", creation, "deviceClass: raid1", "after", "*lvcreate*"},
	{"thin-after-lvcreate", creation, thin, "after", "*lvcreate*"},
	{"luks-before-format", creation, encryptedClass, "before", "*luksFormat*"},
	{"luks-after-format", creation, encryptedClass, "after", "*luksFormat*"},
	{"luks-after-open", creation, encryptedClass, "after", "cryptsetup open*"},
	{"luks-after-mkfs", creation, encryptedClass, "after", "*mkfs*"},
	{"luks-after-label", creation, encryptedClass, "after", "*cryptsetup config*"},
	{"expand-before-lvextend", expansion, standard, "before", "*lvextend*"},
	{"expand-after-lvextend", expansion, standard, "after", "*lvextend*"},
	{"expand-before-resize2fs", expansion, standard, "before", "*resize2fs*"},
	{"expand-after-resize2fs", expansion, standard, "after", "*resize2fs*"},
	{"expand-block-after-helper", blockExpansion, standard, "after", "*lvcreate*-grow*"},
	{"expand-block-before-absorb", blockExpansion, standard, "before", "*lvremove*-grow*"},
	{"expand-block-after-absorb", blockExpansion, standard, "after", "*lvremove*-grow*"},
	{"snapshot-before-lvcreate", snapshotting, standard, "before", "*lvcreate*--snapshot*"},
	{"snapshot-after-lvcreate", snapshotting, standard, "after", "*lvcreate*--snapshot*"},
	{"snapshot-after-ready", snapshotting, standard, "after", "*lvchange*berth.dev/ready*"},
	{"snapshot-thin-after-lvcreate", snapshotting, thin, "after", "*lvcreate*--snapshot*"},
	{"restore-after-lvcreate", restoring, standard, "after", "*lvcreate*"},
	{"restore-before-renewal", restoring, standard, "before", "*tune2fs *-U*"},
	{"restore-after-renewal", restoring, standard, "after", "*tune2fs *-U*"},
	{"restore-thin-after-lvcreate", restoring, thin, "after", "*lvcreate*--snapshot*"},
	{"restore-thin-after-lvextend", restoring, thin, "after", "*lvextend*"},
	{"clone-after-lvcreate", cloning, standard, "after", "*lvcreate*"},
	{"clone-after-hold", cloning, standard, "after", "*lvcreate*-copy*"},
	{"clone-after-renewal", cloning, standard, "after", "*tune2fs *-U*"},
	{"clone-after-ready", cloning, standard, "after", "*lvchange*berth.dev/ready*"},
	{"delete-before-lvremove", deletion, standard, "before", "*lvremove*"},
	{"delete-after-lvremove", deletion, standard, "after", "*lvremove*"},
}

const (
	standard       = "deviceClass: standard"
	thin           = "deviceClass: thin"
	encryptedClass = `deviceClass: encrypted, csi.storage.k8s.io/node-stage-secret-name: key, csi.storage.k8s.io/node-stage-secret-namespace: %s`
)

// TestCrash ends the agent, and then the node's power, between any two programs that the agent runs. Afterwards everything
// goes on by itself, no byte is lost and nothing half-made stays. Each node has a half of the steps.
func TestCrash(t *testing.T) {
	t.Run("once all agents serve every class", kindsServed)
	t.Run("hung mkfs", hungMkfs)
	t.Run("file as a volume group", loopFile)
	for _, way := range []struct {
		name  string
		crash func(t *testing.T, node string)
	}{
		{"agent", killAgent},
		{"power", func(t *testing.T, node string) { powerCycle(t, node) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			for lane, node := range nodes[:2] {
				t.Run(node, func(t *testing.T) {
					t.Parallel()
					for i := lane; i < len(crashes); i += 2 {
						c := crashes[i]
						t.Run(c.name, func(t *testing.T) {
							v := newVictim(t, node, c.parameters)
							if c.before != nil {
								c.before(v)
							}
							arm(t, node, c.when, c.step)
							c.event(v)
							stopped(t, node)
							way.crash(t, node)
							c.end(v)
							nothingHalf(t, node)
						})
					}
				})
			}
		})
	}
}

// hungMkfs lets a mkfs hang, for ten minutes if nobody ends it, and starts other pods on the same node meanwhile.
func hungMkfs(t *testing.T) {
	v := newVictim(t, nodes[0], standard)
	xfs := v.newClass("-xfs", standard+", csi.storage.k8s.io/fstype: xfs")
	start := func(name string) time.Duration {
		begin := time.Now()
		createPod(t, v.ns, name, claim(v.class, "64Mi"))
		running(t, v.ns, name, time.Minute)
		return time.Since(begin)
	}
	alone := start("alone")
	arm(t, v.node, "before", "mkfs.xfs *")
	createPod(t, v.ns, "hung", claim(xfs, "320Mi"))
	stopped(t, v.node)
	for i := range 3 {
		t.Logf("a pod runs after %s, with a hung mkfs beside it after %s", alone.Round(time.Millisecond), start(fmt.Sprintf("beside-%d", i)).Round(time.Millisecond))
	}
	goOn(t, v.node)
	running(t, v.ns, "hung", crashPatience)
}

// loopFile cuts the power of a node whose volume group is a file.
func loopFile(t *testing.T) {
	v := newVictim(t, nodes[1], "deviceClass: looped")
	used(v)
	powerCycle(t, v.node)
	v.wantData("pod")
}

func newVictim(t *testing.T, node, parameters string) *victim {
	t.Helper()
	v := &victim{T: t, ns: kindsNamespace(t), node: node}
	v.class = v.newClass("", parameters)
	return v
}

// newClass makes a StorageClass whose volumes are on the victim's node, for as long as the test.
func (v *victim) newClass(suffix, parameters string) string {
	v.Helper()
	name := v.ns + suffix
	if strings.Contains(parameters, "%s") {
		apply(v.T, v.ns, fmt.Sprintf(secretYAML, "key", "a passphrase"))
		parameters = fmt.Sprintf(parameters, v.ns)
	}
	apply(v.T, v.ns, fmt.Sprintf(`
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: %s}
provisioner: lvm.berth.dev
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
parameters: {%s}
allowedTopologies:
- matchLabelExpressions: [{key: topology.lvm.berth.dev/node, values: [%s]}]
`, name, parameters, v.node))
	v.Cleanup(func() {
		if err := kube.StorageV1().StorageClasses().Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			v.Error(err)
		}
	})
	return name
}

// crashPatience is how long a story may take to go on by itself: the kubelet's and the sidecars' pauses after an error.
const crashPatience = 4 * time.Minute

func (v *victim) use(claims ...*corev1.PersistentVolumeClaim) {
	v.Helper()
	createPod(v.T, v.ns, "pod", claims...)
	running(v.T, v.ns, "pod", crashPatience)
}

func (v *victim) write() {
	v.Helper()
	v.sum = inPod(v.T, v.ns, "pod", writeData)
}

func (v *victim) wantData(pod string) {
	v.Helper()
	running(v.T, v.ns, pod, crashPatience)
	eventually(v.T, crashPatience, func() string {
		// After a power cut the container is being started again.
		got, err := tryLab(v.Context(), "kubectl", "exec", "-n", v.ns, pod, "--", "sh", "-c", readData)
		if err != nil {
			return err.Error()
		}
		if got != v.sum {
			v.Fatalf("%s: %s, want %s", pod, got, v.sum)
		}
		return ""
	})
}

var creation = story{
	event: func(v *victim) { createPod(v.T, v.ns, "pod", claim(v.class, "128Mi")) },
	end: func(v *victim) {
		running(v.T, v.ns, "pod", crashPatience)
		eventually(v.T, crashPatience, func() string {
			sum, err := tryLab(v.Context(), "kubectl", "exec", "-n", v.ns, "pod", "--", "sh", "-c", writeData)
			if err != nil {
				return err.Error()
			}
			v.sum = sum
			return ""
		})
		deletePod(v.T, v.ns, "pod")
		createPod(v.T, v.ns, "pod", claim(v.class, "128Mi"))
		v.wantData("pod")
	},
}

// used is the beginning of stories about a volume with data.
func used(v *victim) {
	v.use(claim(v.class, "128Mi"))
	v.write()
}

var expansion = story{
	before: used,
	event:  func(v *victim) { resize(v.T, v.ns, "pod", "200Mi") },
	end: func(v *victim) {
		eventually(v.T, crashPatience, func() string {
			out, err := tryLab(v.Context(), "kubectl", "exec", "-n", v.ns, "pod", "--", "sh", "-c", "df -Pk /data | awk 'NR==2 {print ($2 > 140000)}'")
			if err != nil {
				return err.Error()
			}
			if strings.TrimSpace(out) != "1" {
				return "not grown: " + eventsOf(v.T, v.ns, "pod")
			}
			return ""
		})
		v.wantData("pod")
	},
}

const (
	writeDevice = "dd if=/dev/urandom of=/dev/data bs=1M count=64 conv=fsync 2>/dev/null; head -c 67108864 /dev/data | md5sum"
	readDevice  = "head -c 67108864 /dev/data | md5sum"
	// readGrown is what a block volume of 128 MiB shows that had 64 MiB: its bytes' sum, and how many others are not zero.
	readGrown = readDevice + "; dd if=/dev/data bs=1M skip=64 2>/dev/null | tr -d '\\0' | wc -c; blockdev --getsize64 /dev/data"
)

var blockExpansion = story{
	before: func(v *victim) {
		v.use(blockClaim(v.class, "64Mi"))
		v.sum = inPod(v.T, v.ns, "pod", writeDevice)
	},
	event: func(v *victim) { resize(v.T, v.ns, "pod", "128Mi") },
	end: func(v *victim) {
		eventually(v.T, crashPatience, func() string {
			out, err := tryLab(v.Context(), "kubectl", "exec", "-n", v.ns, "pod", "--", "sh", "-c", readGrown)
			if err != nil {
				return err.Error()
			}
			if !strings.HasPrefix(out, v.sum) {
				v.Fatalf("the data changed with the size: %s, was %s", out, v.sum)
			}
			if got := strings.Fields(strings.TrimPrefix(out, v.sum)); len(got) != 2 || got[0] != "0" || got[1] != "134217728" {
				return fmt.Sprintf("bytes behind the data that are not zero, and the size: %v", got)
			}
			return ""
		})
	},
}

var snapshotting = story{
	before: used,
	event:  func(v *victim) { requestSnapshot(v.T, v.ns, "before", "pod") },
	end: func(v *victim) {
		snapshotReady(v.T, v.ns, "before", crashPatience)
		v.wantData("pod")
	},
}

var restoring = story{
	before: func(v *victim) {
		used(v)
		snapshot(v.T, v.ns, "before", "pod")
	},
	event: func(v *victim) {
		createPod(v.T, v.ns, "copy", from(claim(v.class, "200Mi"), snapshotGroup, "VolumeSnapshot", "before"))
	},
	end: func(v *victim) {
		v.wantData("copy")
		v.wantData("pod")
	},
}

var cloning = story{
	before: used,
	event: func(v *victim) {
		createPod(v.T, v.ns, "copy", from(claim(v.class, "128Mi"), "", "PersistentVolumeClaim", "pod"))
	},
	end: restoring.end,
}

var deletion = story{
	before: func(v *victim) {
		used(v)
		v.volumeID = volumeOf(v.T, v.ns, "pod")
		deletePod(v.T, v.ns, "pod")
	},
	event: func(v *victim) {
		if err := kube.CoreV1().PersistentVolumeClaims(v.ns).Delete(v.Context(), "pod", metav1.DeleteOptions{}); err != nil {
			v.Fatal(err)
		}
	},
	end: func(v *victim) {
		eventually(v.T, crashPatience, func() string {
			if _, err := berth.LogicalVolumes().Get(v.Context(), v.volumeID, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Sprintf("LogicalVolume %s is still there (%v)", v.volumeID, err)
			}
			if _, err := kube.CoreV1().PersistentVolumes().Get(v.Context(), v.volumeID, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Sprintf("PersistentVolume %s is still there (%v)", v.volumeID, err)
			}
			return ""
		})
	},
}
