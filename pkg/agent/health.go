package agent

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// writeHealth keeps the condition Healthy in step with what LVM reports. Where nothing is known, nothing is written.
func (v *volumes) writeHealth(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	condition, known := v.health(object)
	if !known || !unhealthyTurned(object, condition) {
		return nil
	}
	_, changed, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, _ int64) {
		setCondition(&status.Conditions, condition)
	})
	if err == nil && changed && condition.Status == metav1.ConditionFalse {
		klog.FromContext(ctx).Error(nil, "Volume is lost", "reason", condition.Reason, "message", condition.Message)
		v.event(object, corev1.EventTypeWarning, condition.Reason, condition.Message)
	}
	return err
}

// unhealthyTurned is true when the condition's status is not what the object says; no condition says healthy.
func unhealthyTurned(object *v1alpha1.LogicalVolume, condition metav1.Condition) bool {
	old := meta.FindStatusCondition(object.Status.Conditions, condition.Type)
	if old == nil {
		return condition.Status != metav1.ConditionTrue
	}
	return old.Status != condition.Status || old.Reason != condition.Reason
}

// health says whether a Ready volume's LV is where the object says. known is false while the volume group has not
// been reported or is not configured any more.
func (v *volumes) health(object *v1alpha1.LogicalVolume) (condition metav1.Condition, known bool) {
	vgName := object.Status.VolumeGroup.Name
	o, asked := v.groups.observed(vgName)
	if !asked {
		return metav1.Condition{}, false
	}
	lost := metav1.Condition{Type: v1alpha1.LogicalVolumeHealthy, Status: metav1.ConditionFalse}
	if !o.found {
		lost.Reason, lost.Message = v1alpha1.ReasonVolumeGroupMissing, fmt.Sprintf("volume group %s is not on node %s", vgName, v.nodeName)
		return lost, true
	}
	if lv, ok := o.vg.LogicalVolume(object.Name); !ok || !lvm.ParseTags(lv.Tags).Owned {
		lost.Reason = v1alpha1.ReasonLogicalVolumeLost
		lost.Message = fmt.Sprintf("logical volume %s/%s is not on node %s; it is not made again", vgName, object.Name, v.nodeName)
		return lost, true
	}
	return healthy(), true
}
