package agent

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// maintainSnapshot looks after a snapshot that is Ready: is its LV there, do its bytes stand, and how large has it been
// made? Its size is not ordered again: what the agent gives it comes from the growth reserve.
func (v *volumes) maintainSnapshot(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	if err := v.writeHealth(ctx, object); err != nil {
		return err
	}
	if err := v.dropRefusal(ctx, object); err != nil {
		return err
	}
	at, ok := v.groups.find(object.Name)
	if !ok {
		return nil
	}
	condition, known := v.validity(object.Name, at)
	old := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.LogicalVolumeSnapshotValid)
	_, _, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, _ int64) {
		if status.AllocatedBytes != at.lv.SizeBytes {
			status.AllocatedBytes, status.VolumeGroup.Seqno = at.lv.SizeBytes, at.vg.Seqno
		}
		if known {
			setCondition(&status.Conditions, condition)
		}
	})
	if err != nil {
		return err
	}
	turned := known && condition.Reason != v1alpha1.ReasonReady && (old == nil || old.Reason != condition.Reason)
	if turned {
		v.event(object, corev1.EventTypeWarning, condition.Reason, condition.Message)
	}
	return nil
}

// validity is the condition SnapshotValid, of a thick snapshot that was looked at.
func (v *volumes) validity(name string, at place) (condition metav1.Condition, known bool) {
	f, known := v.fullnesses.get(name)
	if !known || !at.lv.ThickSnapshot() {
		return metav1.Condition{}, false
	}
	condition = metav1.Condition{Type: v1alpha1.LogicalVolumeSnapshotValid, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	switch {
	case f.lost:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonSnapshotOverflow
		condition.Message = "what changed in the volume came to more than the snapshot could hold; its bytes are lost"
	case f.warning != "":
		condition.Reason, condition.Message = v1alpha1.ReasonSnapshotNearlyFull, clip(f.warning)
	}
	return condition, true
}
