//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const namespace = metav1.NamespaceDefault

// addNode makes a Node and what its agent publishes: a volume group of size GiB that serves the driver's class.
func (d *fakeDriver) addNode(t *testing.T, name string, gib int64) {
	t.Helper()
	d.addNodeSeen(t, name, gib, time.Now())
}

// addNodeSeen is addNode with an agent whose last sign of life is at that time.
func (d *fakeDriver) addNodeSeen(t *testing.T, name string, gib int64, seen time.Time) {
	t.Helper()
	d.environment.addNode(t, name)
	d.mu.Lock()
	d.nodes[name] = &fakeNode{sizeBytes: gib << 30, seqno: 1, volumes: map[string]int64{}}
	d.mu.Unlock()
	_, err := d.berth.NodeStorages().Create(t.Context(), &v1alpha1.NodeStorage{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.publish(name)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.AgentLeasePrefix + name},
		Spec:       coordinationv1.LeaseSpec{RenewTime: ptr.To(metav1.NewMicroTime(seen))},
	}
	if _, err := d.kube.CoordinationV1().Leases(v1alpha1.Namespace).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.stop()
		_ = d.berth.NodeStorages().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
}

// addNode makes a Node that is Ready and large; it goes with the test.
func (e *environment) addNode(t *testing.T, name string) {
	t.Helper()
	resources := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("100"), v1.ResourceMemory: resource.MustParse("100Gi"), v1.ResourcePods: resource.MustParse("1000"),
	}
	node := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.TopologyKey: name}},
		Status: v1.NodeStatus{
			Capacity: resources, Allocatable: resources,
			Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}},
		},
	}
	if _, err := e.kube.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.kube.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
}

// addClass makes a StorageClass of ours.
func (e *environment) addClass(t *testing.T, name string, parameters map[string]string) {
	t.Helper()
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: v1alpha1.DriverName, Parameters: parameters,
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	if _, err := e.kube.StorageV1().StorageClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// addPod makes a pod with a claim per size, named after it: name-0, name-1, …
func (e *environment) addPod(t *testing.T, name, class string, sizes ...string) {
	t.Helper()
	e.create(t, e.newPod(t, name, class, sizes...))
}

// addPodFor is addPod with a scheduler of that name.
func (e *environment) addPodFor(t *testing.T, scheduler, name, class string, sizes ...string) {
	t.Helper()
	pod := e.newPod(t, name, class, sizes...)
	pod.Spec.SchedulerName = scheduler
	e.create(t, pod)
}

// newPod makes the claims of a pod and returns the pod.
func (e *environment) newPod(t *testing.T, name, class string, sizes ...string) *v1.Pod {
	t.Helper()
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PodSpec{
			SchedulerName: defaultScheduler, Containers: []v1.Container{{Name: "c", Image: "image"}},
			TerminationGracePeriodSeconds: ptr.To[int64](0),
		},
	}
	for i, size := range sizes {
		claim := &v1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, i)},
			Spec: v1.PersistentVolumeClaimSpec{
				AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}, StorageClassName: &class,
				Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse(size)}},
			},
		}
		if _, err := e.kube.CoreV1().PersistentVolumeClaims(namespace).Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{
			Name:         fmt.Sprintf("v%d", i),
			VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name}},
		})
	}
	return pod
}

// create makes a pod of newPod, which goes with the test as its claims do.
func (e *environment) create(t *testing.T, pod *v1.Pod) {
	t.Helper()
	if _, err := e.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.deletePod(pod.Name, len(pod.Spec.Volumes)) })
}

// createAll is create for many pods at once.
func (e *environment) createAll(t *testing.T, pods []*v1.Pod) {
	t.Helper()
	var group sync.WaitGroup
	for _, pod := range pods {
		t.Cleanup(func() { e.deletePod(pod.Name, len(pod.Spec.Volumes)) })
		group.Go(func() {
			if _, err := e.kube.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// deletePod removes a pod and its claims.
func (e *environment) deletePod(name string, claims int) {
	ctx := context.Background()
	_ = e.kube.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
	for i := range claims {
		_ = e.kube.CoreV1().PersistentVolumeClaims(namespace).Delete(ctx, fmt.Sprintf("%s-%d", name, i), metav1.DeleteOptions{})
	}
}

// placed maps the pods whose name starts with prefix and who have a node to that node.
func (e *environment) placed(t *testing.T, prefix string) map[string]string {
	t.Helper()
	pods, err := e.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]string{}
	for _, pod := range pods.Items {
		if strings.HasPrefix(pod.Name, prefix) && pod.Spec.NodeName != "" {
			nodes[pod.Name] = pod.Spec.NodeName
		}
	}
	return nodes
}

// awaitPlaced waits until so many pods have their node.
func (e *environment) awaitPlaced(t *testing.T, prefix string, count int, limit time.Duration) map[string]string {
	t.Helper()
	var nodes map[string]string
	e.await(t, limit, fmt.Sprintf("%d pods %s* placed", count, prefix), func(context.Context) (bool, error) {
		nodes = e.placed(t, prefix)
		return len(nodes) >= count, nil
	})
	return nodes
}

// awaitEvent waits for an event on a pod whose text contains all parts, and returns the text.
func (e *environment) awaitEvent(t *testing.T, pod, reason string, parts ...string) string {
	t.Helper()
	var last string
	e.await(t, 30*time.Second, fmt.Sprintf("event %s on %s with %q", reason, pod, parts), func(ctx context.Context) (bool, error) {
		events, err := e.kube.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, event := range events.Items {
			if event.Regarding.Name == pod && event.Reason == reason && containsAll(event.Note, parts) {
				last = event.Note
				return true, nil
			}
		}
		return false, nil
	})
	return last
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// persistentVolume is what csi-provisioner makes for a claim.
func persistentVolume(claim *v1.PersistentVolumeClaim, node string) *v1.PersistentVolume {
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(claim.UID)},
		Spec: v1.PersistentVolumeSpec{
			Capacity: claim.Spec.Resources.Requests, AccessModes: claim.Spec.AccessModes,
			StorageClassName: *claim.Spec.StorageClassName, PersistentVolumeReclaimPolicy: v1.PersistentVolumeReclaimDelete,
			ClaimRef: &v1.ObjectReference{
				Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{
				Driver: v1alpha1.DriverName, VolumeHandle: "pvc-" + string(claim.UID),
			}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1alpha1.TopologyKey, Operator: v1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
}
