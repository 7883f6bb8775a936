//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// leaveNothing deletes a test's namespace and checks that every trace of its volumes goes: PersistentVolumes,
// LogicalVolumes, LVs and mounts on the nodes. The test's own context has ended by then.
func leaveNothing(t *testing.T, ns string, before map[string]map[string]string) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if t.Failed() {
		dump(ctx, t, ns)
	}
	if err := kube.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
		return
	}
	problem, start := "", time.Now()
	for ctx.Err() == nil {
		if problem = remains(ctx, ns, before); problem == "" {
			t.Logf("nothing is left %s after the namespace was deleted", time.Since(start).Round(time.Second))
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Errorf("left behind by namespace %s: %s", ns, problem)
}

func remains(ctx context.Context, ns string, before map[string]map[string]string) string {
	if _, err := kube.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return fmt.Sprintf("the namespace (%v)", err)
	}
	pvs, err := kube.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for _, pv := range pvs.Items {
		if pv.Spec.ClaimRef != nil && pv.Spec.ClaimRef.Namespace == ns {
			return "PersistentVolume " + pv.Name
		}
	}
	lvs, err := berth.LogicalVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for _, lv := range lvs.Items {
		if lv.Spec.ClaimRef.Namespace == ns {
			return "LogicalVolume " + lv.Name
		}
	}
	return remainsOnNodes(ctx, before)
}

// remainsOnNodes looks for LVs and mounts of volumes that were not there before. Device-mapper doubles the hyphens of
// names, so a mount's device is compared without them.
func remainsOnNodes(ctx context.Context, before map[string]map[string]string) string {
	script := "lvs --noheadings -o lv_name " + volumeGroup + "; awk '{print $1}' /proc/mounts | sed -n 's,^/dev/mapper/" + volumeGroup + "-,,p' | sed s,--,-,g"
	for _, node := range slices.Sorted(maps.Keys(before)) {
		out, err := tryLab(ctx, "node", node, "--", "sh", "-c", script)
		if err != nil {
			return err.Error()
		}
		for name := range strings.FieldsSeq(out) {
			if _, known := before[node][name]; !known {
				return "LV or mount of " + name + " on " + node
			}
		}
	}
	return ""
}

// dump logs what a person would look at first after a failure.
func dump(ctx context.Context, t *testing.T, ns string) {
	for _, args := range [][]string{
		{"kubectl", "get", "pods,pvc", "-n", ns, "-o", "wide"},
		{"kubectl", "get", "events", "-n", ns, "--sort-by=.lastTimestamp"},
		{"kubectl", "get", "pv,nodestorages,logicalvolumes"},
		{"kubectl", "get", "pods", "-n", "berth-system", "-o", "wide"},
	} {
		out, err := tryLab(ctx, args...)
		if err != nil {
			out += err.Error()
		}
		t.Logf("%s\n%s", strings.Join(args, " "), out)
	}
}
