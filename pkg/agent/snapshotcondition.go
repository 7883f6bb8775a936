package agent

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
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
	if !ok || object.Status.AllocatedBytes == at.lv.SizeBytes {
		return nil
	}
	_, _, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, _ int64) {
		status.AllocatedBytes, status.VolumeGroup.Seqno = at.lv.SizeBytes, at.vg.Seqno
	})
	return err
}

// validity is the condition SnapshotValid, of a thick snapshot that was looked at.
func (v *volumes) validity(lv lvm.LogicalVolume) (condition metav1.Condition, known bool) {
	f, known := v.fullnesses.get(lv.Name)
	if !known || !lv.ThickSnapshot() {
		return metav1.Condition{}, false
	}
	if f.lost {
		lost := problem{v1alpha1.ReasonSnapshotOverflow, "what changed in the volume came to more than the snapshot could hold; its bytes are lost"}
		return lost.condition(v1alpha1.LogicalVolumeSnapshotValid), true
	}
	condition = problem{}.condition(v1alpha1.LogicalVolumeSnapshotValid)
	if f.warning != "" {
		condition.Reason, condition.Message = v1alpha1.ReasonSnapshotNearlyFull, clip(f.warning)
	}
	return condition, true
}
