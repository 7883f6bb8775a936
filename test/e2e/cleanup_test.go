//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// leaveNothing deletes a test's pods and claims and checks that every trace of their volumes goes: PersistentVolumes,
// LogicalVolumes, LVs and mounts on the nodes. Its namespace goes last, and nobody waits for that. The test's own context
// has ended by then.
func leaveNothing(t *testing.T, ns string) { leaveNothingIn(t, ns, nodes, volumeGroup) }

// leaveNothingIn is leaveNothing for the nodes and volume groups (with spaces between) of a cluster.
func leaveNothingIn(t *testing.T, ns string, nodes []string, groups string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience*3*time.Minute)
	defer cancel()
	if t.Failed() {
		dump(ctx, t, ns)
	}
	volumes, err := volumesOf(ctx, ns)
	if err != nil {
		t.Error(err)
	}
	if err := errors.Join(
		kube.CoreV1().PersistentVolumeClaims(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
		kube.CoreV1().Pods(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
	); err != nil {
		t.Error(err)
		return
	}
	defer func() {
		if err := kube.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}()
	problem, start := "", time.Now()
	for ctx.Err() == nil {
		if problem = remains(ctx, ns, volumes, nodes, groups); problem == "" {
			t.Logf("nothing is left %s after pods and claims were deleted", time.Since(start).Round(time.Second))
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Errorf("left behind by namespace %s: %s", ns, problem)
}

// volumesOf returns the volume IDs of a namespace's claims.
func volumesOf(ctx context.Context, ns string) ([]string, error) {
	pvcs, err := kube.CoreV1().PersistentVolumeClaims(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, pvc := range pvcs.Items {
		ids = append(ids, "pvc-"+string(pvc.UID))
	}
	return ids, nil
}

func remains(ctx context.Context, ns string, volumes, nodes []string, groups string) string {
	pods, err := kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		return fmt.Sprintf("%d pods (%v)", len(pods.Items), err)
	}
	for _, volume := range volumes {
		if _, err := kube.CoreV1().PersistentVolumes().Get(ctx, volume, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("PersistentVolume %s (%v)", volume, err)
		}
		if _, err := berth.LogicalVolumes().Get(ctx, volume, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("LogicalVolume %s (%v)", volume, err)
		}
	}
	return remainsOnNodes(ctx, ns, volumes, nodes, groups)
}

// remainsOnNodes looks for LVs tagged with a claim of the namespace and for mounts of its volumes. Device-mapper doubles
// the hyphens of names, so a mount's device is compared without them.
func remainsOnNodes(ctx context.Context, ns string, volumes, nodes []string, groups string) string {
	script := "lvs --noheadings -o lv_name,lv_tags " + groups + " | grep -F berth.dev/claim=" + ns + "/; sed s,--,-,g /proc/mounts"
	for _, node := range nodes {
		out, err := tryLab(ctx, "node", node, "--", "sh", "-c", script)
		if err != nil {
			return err.Error()
		}
		if strings.Contains(out, "berth.dev/claim=") {
			return "an LV on " + node
		}
		for _, volume := range volumes {
			if strings.Contains(out, volume) {
				return "a mount of " + volume + " on " + node
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
