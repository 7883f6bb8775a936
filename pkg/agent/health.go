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

// writeHealth keeps a volume's conditions in step with what LVM and the kernel report. Where nothing is known, nothing
// is written.
func (v *volumes) writeHealth(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	turned := v.turnedConditions(object)
	if len(turned) == 0 {
		return nil
	}
	_, changed, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, _ int64) {
		for _, condition := range turned {
			setCondition(&status.Conditions, condition)
		}
	})
	if err != nil || !changed {
		return err
	}
	for _, condition := range turned {
		v.announce(ctx, object, condition)
	}
	return nil
}

// announce records a condition that turned false where a person looks.
func (v *volumes) announce(ctx context.Context, object *v1alpha1.LogicalVolume, condition metav1.Condition) {
	if condition.Status != metav1.ConditionFalse {
		return
	}
	eventType := corev1.EventTypeWarning
	if condition.Reason == v1alpha1.ReasonLegRebuilding {
		eventType = corev1.EventTypeNormal
	}
	klog.FromContext(ctx).Info("Volume's condition turned", "condition", condition.Type, "reason", condition.Reason, "message", condition.Message)
	v.event(object, eventType, condition.Reason, condition.Message)
}

// turnedConditions are those that are not as the object says; no condition there says that all is well.
func (v *volumes) turnedConditions(object *v1alpha1.LogicalVolume) []metav1.Condition {
	var turned []metav1.Condition
	for _, condition := range v.conditions(object) {
		old := meta.FindStatusCondition(object.Status.Conditions, condition.Type)
		if old == nil && condition.Status != metav1.ConditionTrue ||
			old != nil && (old.Status != condition.Status || old.Reason != condition.Reason) {
			turned = append(turned, condition)
		}
	}
	return turned
}

// conditions are what is known of a Ready volume: Healthy, and those that its layout has. There are none while the volume
// group has not been reported or is not configured any more.
func (v *volumes) conditions(object *v1alpha1.LogicalVolume) []metav1.Condition {
	vgName := object.Status.VolumeGroup.Name
	o, asked := v.groups.observed(vgName)
	if !asked {
		return nil
	}
	lost := problem{v1alpha1.ReasonVolumeGroupMissing, fmt.Sprintf("volume group %s is not on node %s", vgName, v.nodeName)}
	if !o.found {
		return []metav1.Condition{lost.condition(v1alpha1.LogicalVolumeHealthy)}
	}
	lv, ok := o.vg.LogicalVolume(object.Name)
	if !ok || !lvm.ParseTags(lv.Tags).Owned {
		lost = problem{v1alpha1.ReasonLogicalVolumeLost,
			fmt.Sprintf("logical volume %s/%s is not on node %s; it is not made again", vgName, object.Name, v.nodeName)}
		return []metav1.Condition{lost.condition(v1alpha1.LogicalVolumeHealthy)}
	}
	list := []metav1.Condition{v.legs.health(vgName, lv).condition(v1alpha1.LogicalVolumeHealthy)}
	if isRAID(lv.Type) {
		list = append(list, v.legs.redundancy(vgName, lv).condition(v1alpha1.LogicalVolumeRedundant))
	}
	if problem, known := v.pools.problem(vgName, lv.ThinPool); known {
		list = append(list, problem.condition(v1alpha1.LogicalVolumePoolHealthy))
	}
	return list
}
