package plugin

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/util"
)

// EventsToRegister names what may help a pod that this plugin rejected. Free bytes are not among them: the ledger
// wakes pods itself, because an event from a second informer could come before the ledger knows.
func (pl *VolumeGroupCapacity) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{
		// The pod's claim appears, loses its refused node, or is bound; or one that it is to be a copy of.
		{Event: fwk.ClusterEvent{Resource: fwk.PersistentVolumeClaim, ActionType: fwk.Add | fwk.Update}, QueueingHintFn: pl.isSchedulableAfterClaimChange},
		// A volume made by hand for the pod's claim, or that of a claim that is to be copied.
		{Event: fwk.ClusterEvent{Resource: fwk.PersistentVolume, ActionType: fwk.Add | fwk.Update}, QueueingHintFn: pl.isSchedulableAfterVolumeChange},
		// A class with faulty parameters is corrected by deleting it and making it again; nothing of it that matters
		// here can be updated.
		{Event: fwk.ClusterEvent{Resource: fwk.StorageClass, ActionType: fwk.Add}},
		// A node whose NodeStorage is known already comes (back).
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}},
	}, nil
}

func (pl *VolumeGroupCapacity) isSchedulableAfterClaimChange(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	_, claim, err := util.As[*v1.PersistentVolumeClaim](oldObj, newObj)
	if err != nil {
		return fwk.Queue, err
	}
	if !usesClaim(pod, claim.Namespace, claim.Name) && !pl.copiesClaim(pod, claim.Namespace, claim.Name) {
		return fwk.QueueSkip, nil
	}
	logger.V(5).Info("A claim of the pod changed", "pod", klog.KObj(pod), "claim", klog.KObj(claim))
	return fwk.Queue, nil
}

func (pl *VolumeGroupCapacity) isSchedulableAfterVolumeChange(logger klog.Logger, pod *v1.Pod, oldObj, newObj any) (fwk.QueueingHint, error) {
	_, volume, err := util.As[*v1.PersistentVolume](oldObj, newObj)
	if err != nil {
		return fwk.Queue, err
	}
	if ref := volume.Spec.ClaimRef; ref == nil || !usesClaim(pod, ref.Namespace, ref.Name) && !pl.copiesClaim(pod, ref.Namespace, ref.Name) {
		return fwk.QueueSkip, nil
	}
	logger.V(5).Info("A volume for a claim of the pod changed", "pod", klog.KObj(pod), "persistentVolume", klog.KObj(volume))
	return fwk.Queue, nil
}

func usesClaim(pod *v1.Pod, namespace, name string) bool {
	if pod.Namespace != namespace {
		return false
	}
	for i := range pod.Spec.Volumes {
		if own, _ := claimName(pod, &pod.Spec.Volumes[i]); own != "" && own == name {
			return true
		}
	}
	return false
}
