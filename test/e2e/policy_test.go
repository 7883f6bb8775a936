//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// An agent's token, stolen from its pod, writes nothing about other nodes.
func TestStolenAgentToken(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	createPod(t, ns, "pod", claim(shippedClass, "64Mi"))
	victim := running(t, ns, "pod", 3*time.Minute).Spec.NodeName
	volume := volumeOf(t, ns, "pod")
	thief := nodes[0]
	if thief == victim {
		thief = nodes[1]
	}
	stolenBerth, stolenKube := stolen(t, thief)

	attempts := map[string]func() error{
		"status of another node's NodeStorage": func() error {
			storage, err := berth.NodeStorages().Get(t.Context(), victim, metav1.GetOptions{})
			if err != nil {
				return nil
			}
			storage.Status.VolumeGroups = nil
			_, err = stolenBerth.NodeStorages().UpdateStatus(t.Context(), storage, metav1.UpdateOptions{})
			return err
		},
		"deletion of another node's NodeStorage": func() error {
			return stolenBerth.NodeStorages().Delete(t.Context(), victim, metav1.DeleteOptions{})
		},
		"status of another node's LogicalVolume": func() error {
			_, err := stolenBerth.LogicalVolumes().Patch(t.Context(), volume, types.MergePatchType, []byte(`{"status":{"phase":"Failed"}}`), metav1.PatchOptions{}, "status")
			return err
		},
		"deletion of another node's LogicalVolume": func() error {
			return stolenBerth.LogicalVolumes().Delete(t.Context(), volume, metav1.DeleteOptions{})
		},
		"order to remove another node's LogicalVolume": func() error {
			_, err := stolenBerth.LogicalVolumes().Patch(t.Context(), volume, types.MergePatchType, []byte(`{"spec":{"state":"Absent"}}`), metav1.PatchOptions{})
			return err
		},
		"LogicalVolume on another node": func() error {
			_, err := stolenBerth.LogicalVolumes().Create(t.Context(), &v1alpha1.LogicalVolume{
				ObjectMeta: metav1.ObjectMeta{Name: "v-forged"},
				Spec:       v1alpha1.LogicalVolumeSpec{NodeName: victim, DeviceClass: "default", SizeBytes: 1, State: v1alpha1.StatePresent},
			}, metav1.CreateOptions{})
			return err
		},
		"another agent's Lease": func() error {
			_, err := stolenKube.CoordinationV1().Leases("berth-system").Patch(t.Context(), "agent-"+victim, types.MergePatchType, []byte(`{"spec":{"holderIdentity":"thief"}}`), metav1.PatchOptions{})
			return err
		},
	}
	for what, attempt := range attempts {
		if err := attempt(); !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v, want it forbidden", what, err)
		}
	}
	// The same token does write about its own node.
	if _, err := stolenKube.CoordinationV1().Leases("berth-system").Patch(t.Context(), "agent-"+thief, types.MergePatchType, []byte(`{"metadata":{"annotations":{"e2e":"own"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("its own Lease: %v", err)
	}
}

// stolen returns clients that act with the token of the agent of a node.
func stolen(t *testing.T, node string) (client.Interface, kubernetes.Interface) {
	t.Helper()
	pods, err := kube.CoreV1().Pods("berth-system").List(t.Context(), metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/component=node", FieldSelector: "spec.nodeName=" + node})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("agents on %s: %v, %v", node, pods, err)
	}
	stolenConfig := rest.AnonymousClientConfig(config)
	stolenConfig.BearerToken = strings.TrimSpace(lab(t, "kubectl", "exec", "-n", "berth-system", pods.Items[0].Name, "--",
		"cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"))
	b, err := client.New(stolenConfig)
	if err != nil {
		t.Fatal(err)
	}
	k, err := kubernetes.NewForConfig(stolenConfig)
	if err != nil {
		t.Fatal(err)
	}
	return b, k
}
