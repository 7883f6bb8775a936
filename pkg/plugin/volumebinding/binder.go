package volumebinding

import (
	"context"
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	storagehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	intree "k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding/metrics"
)

// inTreeProvisioners is how the names of provisioners begin that were once part of Kubernetes.
const inTreeProvisioners = "kubernetes.io/"

// binder is the in-tree binder, but that BindPodVolumes waits for events where all claims are provisioned.
type binder struct {
	intree.SchedulerVolumeBinder
	client  kubernetes.Interface
	timeout time.Duration
	waiters *waiters

	pods    corelisters.PodLister
	nodes   corelisters.NodeLister
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
}

func newBinder(inTree intree.SchedulerVolumeBinder, handle fwk.Handle, timeout time.Duration) (*binder, error) {
	core := handle.SharedInformerFactory().Core().V1()
	b := &binder{
		SchedulerVolumeBinder: inTree,
		client:                handle.ClientSet(),
		timeout:               timeout,
		waiters:               newWaiters(),
		pods:                  core.Pods().Lister(),
		nodes:                 core.Nodes().Lister(),
		claims:                core.PersistentVolumeClaims().Lister(),
		volumes:               core.PersistentVolumes().Lister(),
		classes:               handle.SharedInformerFactory().Storage().V1().StorageClasses().Lister(),
	}
	return b, b.waiters.listen(core)
}

// BindPodVolumes writes the chosen node to the pod's claims and returns when all of them are bound.
// Errors: a conflict or other failure of a write; the context's; a provisioner that gave up; pod, node or claim gone; a
// volume that the node cannot reach; the plugin's timeout. The pod is then scheduled again.
func (b *binder) BindPodVolumes(ctx context.Context, pod *v1.Pod, podVolumes *intree.PodVolumes) error {
	if !b.onlyProvisions(podVolumes) {
		return b.SchedulerVolumeBinder.BindPodVolumes(ctx, pod, podVolumes)
	}
	logger := klog.FromContext(ctx)
	logger.V(4).Info("Binding volumes by events", "pod", klog.KObj(pod), "node", klog.KRef("", pod.Spec.NodeName))
	claims, err := b.writeClaims(ctx, podVolumes.DynamicProvisions)
	if err == nil {
		err = b.await(ctx, pod, claims)
	}
	if err != nil {
		metrics.VolumeSchedulingStageFailed.WithLabelValues("bind").Inc()
		return err
	}
	logger.V(2).Info("All claims of the pod are bound", "pod", klog.KObj(pod))
	return nil
}

// onlyProvisions tells whether everything that the pod waits for is a claim for a CSI driver to provision. Volumes of
// in-tree names may need translation, as the node's CSINode has it; such pods keep the in-tree path.
func (b *binder) onlyProvisions(podVolumes *intree.PodVolumes) bool {
	// After Reserve neither is nil. The in-tree code has words for the case that one is.
	if podVolumes.StaticBindings == nil || len(podVolumes.StaticBindings) > 0 || podVolumes.DynamicProvisions == nil {
		return false
	}
	for _, provision := range podVolumes.DynamicProvisions {
		class, err := b.classes.Get(storagehelpers.GetPersistentVolumeClaimClass(provision.PVC))
		if err != nil || strings.HasPrefix(class.Provisioner, inTreeProvisioners) {
			return false
		}
	}
	return true
}

// writeClaims writes the claims as Reserve assumed them, which is with selected-node, and returns them as they then are.
// What is not written is not assumed any longer.
func (b *binder) writeClaims(ctx context.Context, provisions []*intree.DynamicProvision) ([]*v1.PersistentVolumeClaim, error) {
	written := make([]*v1.PersistentVolumeClaim, 0, len(provisions))
	for i, provision := range provisions {
		claim := provision.PVC
		claim, err := b.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, claim, metav1.UpdateOptions{})
		if err != nil {
			b.RevertAssumedPodVolumes(&intree.PodVolumes{DynamicProvisions: provisions[i:]})
			return nil, err
		}
		written = append(written, claim)
	}
	return written, nil
}

// await returns when check says so, asking again whenever something that it reads has changed.
func (b *binder) await(ctx context.Context, pod *v1.Pod, claims []*v1.PersistentVolumeClaim) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	// Before the first look, so that no change falls between.
	changed, stop := b.waiters.add(podAndClaims(pod, claims))
	defer stop()
	for {
		bound, err := b.check(pod, claims)
		if err != nil {
			return fmt.Errorf("binding volumes: %w", err)
		}
		if bound {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("binding volumes: %w", ctx.Err())
		case <-changed:
		}
	}
}
