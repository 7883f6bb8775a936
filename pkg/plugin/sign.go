package plugin

import (
	"context"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// SignPod signs by the pod's volumes, as VolumeBinding does: without a signature the scheduler would treat no two pods
// of the profile as alike, not even those without volumes. It may use only the pod, since it runs when the pod is
// queued.
func (pl *VolumeGroupCapacity) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return []fwk.SignFragment{{Key: fwk.VolumesSignerName, Value: fwk.VolumesSigner(pod)}}, nil
}
