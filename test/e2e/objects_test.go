//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const (
	schedulerName = "berth-scheduler"
	image         = "registry.k8s.io/e2e-test-images/busybox:1.37.0-2"
	mountPath     = "/data"
	devicePath    = "/dev/data"
)

// namespace makes a namespace for one test. When the test ends all its claims go, and the test fails if they leave
// a PersistentVolume, a LogicalVolume or an LV behind.
func namespace(t *testing.T) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	createNamespace(t, name)
	t.Cleanup(func() { leaveNothing(t, name) })
	return name
}

// createNamespace makes a namespace that takes pods: one with its service account.
func createNamespace(t *testing.T, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := kube.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() string {
		if _, err := kube.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
}

func storageClass(t *testing.T, suffix string, parameters map[string]string) string {
	t.Helper()
	name := "e2e-" + suffix
	wait, expand := storagev1.VolumeBindingWaitForFirstConsumer, true
	class := &storagev1.StorageClass{
		ObjectMeta:           metav1.ObjectMeta{Name: name},
		Provisioner:          v1alpha1.DriverName,
		Parameters:           parameters,
		VolumeBindingMode:    &wait,
		AllowVolumeExpansion: &expand,
	}
	if _, err := kube.StorageV1().StorageClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return name
}

func claim(class, size string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
	}
}

func blockClaim(class, size string) *corev1.PersistentVolumeClaim {
	pvc := claim(class, size)
	mode := corev1.PersistentVolumeBlock
	pvc.Spec.VolumeMode = &mode
	return pvc
}

// createPod makes a pod that sleeps, with a claim of the same name for each claim given (name, name-1, …).
func createPod(t *testing.T, ns, name string, claims ...*corev1.PersistentVolumeClaim) {
	t.Helper()
	createPodFor(t, schedulerName, ns, name, claims...)
}

// createPodFor is createPod for a scheduler of that name.
func createPodFor(t *testing.T, scheduler, ns, name string, claims ...*corev1.PersistentVolumeClaim) {
	t.Helper()
	createPodAs(t, func(pod *corev1.Pod) { pod.Spec.SchedulerName = scheduler }, ns, name, claims...)
}

// createPodAs is createPod for a pod that is changed before it is made.
func createPodAs(t *testing.T, change func(pod *corev1.Pod), ns, name string, claims ...*corev1.PersistentVolumeClaim) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns},
		Spec: corev1.PodSpec{
			SchedulerName: schedulerName,
			// With 0 the API server forgets the pod before the kubelet has unmounted its volumes.
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			Containers: []corev1.Container{{
				Name: "main", Image: image, Command: []string{"sleep", "1000000"},
				SecurityContext: &corev1.SecurityContext{RunAsUser: new(int64)},
			}},
			// A pod waits for its node as long as the test does.
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}
	for i, pvc := range claims {
		pvc = pvc.DeepCopy()
		pvc.Name, pvc.Namespace = name, ns
		if i > 0 {
			pvc.Name = fmt.Sprintf("%s-%d", name, i)
		}
		if _, err := kube.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), pvc, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		addVolume(pod, pvc, i)
	}
	change(pod)
	if _, err := kube.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func addVolume(pod *corev1.Pod, pvc *corev1.PersistentVolumeClaim, index int) {
	volume, suffix := pvc.Name, ""
	if index > 0 {
		suffix = fmt.Sprint(index)
	}
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: pvc.Name}}})
	container := &pod.Spec.Containers[0]
	if pvc.Spec.VolumeMode != nil && *pvc.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		container.VolumeDevices = append(container.VolumeDevices, corev1.VolumeDevice{Name: volume, DevicePath: devicePath + suffix})
		return
	}
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: mountPath + suffix})
}

func getPod(t *testing.T, ns, name string) *corev1.Pod {
	t.Helper()
	pod, err := kube.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// running waits until a pod's container is ready and returns the pod.
func running(t *testing.T, ns, name string, limit time.Duration) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, limit, func() string {
		pod = getPod(t, ns, name)
		if ready(pod) {
			return ""
		}
		return fmt.Sprintf("pod %s is %s on %q: %s", name, pod.Status.Phase, pod.Spec.NodeName, eventsOf(t, ns, name))
	})
	return pod
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// eventsOf returns the messages of an object's events, oldest first.
func eventsOf(t *testing.T, ns, name string) string {
	t.Helper()
	events, err := kube.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for _, event := range events.Items {
		messages = append(messages, event.Reason+": "+event.Message)
	}
	return strings.Join(messages, " | ")
}

// inPod runs a shell script in a pod's container.
func inPod(t *testing.T, ns, name, script string) string {
	t.Helper()
	return lab(t, "kubectl", "exec", "-n", ns, name, "--", "sh", "-c", script)
}

func deletePod(t *testing.T, ns, name string) {
	t.Helper()
	err := kube.CoreV1().Pods(ns).Delete(t.Context(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() string {
		if _, err := kube.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return ""
		}
		return "pod " + name + " is still there"
	})
}

// volumeOf returns the claim's volume ID, which is the LV's name.
func volumeOf(t *testing.T, ns, claimName string) string {
	t.Helper()
	pvc, err := kube.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), claimName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pvc.Spec.VolumeName == "" {
		t.Fatalf("claim %s is not bound", claimName)
	}
	return pvc.Spec.VolumeName
}
