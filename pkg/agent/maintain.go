package agent

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// maintain looks after a volume that is Ready: is its LV there, and is it to grow? It never creates or formats. done
// is true when it grew.
func (v *volumes) maintain(ctx context.Context, object *v1alpha1.LogicalVolume) (done bool, err error) {
	if err := v.writeHealth(ctx, object); err != nil {
		return false, err
	}
	status := object.Status
	if object.Spec.SizeBytes <= status.AllocatedBytes {
		return false, v.dropRefusal(ctx, object)
	}
	// A refused expansion is asked again by a change of the object, not by the passing of time.
	if status.Code == codes.OutOfRange.String() && status.ObservedGeneration == object.Generation {
		return false, nil
	}
	return v.expand(ctx, object)
}

// dropRefusal clears what an expansion left behind that has since been taken back.
func (v *volumes) dropRefusal(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	if object.Status.Code == "" && object.Status.ObservedGeneration == object.Generation {
		return nil
	}
	_, _, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, generation int64) {
		status.Code, status.Message, status.ObservedGeneration = "", "", generation
	})
	return err
}

// expand grows the LV, and writes its size as LVM then reports it.
func (v *volumes) expand(ctx context.Context, object *v1alpha1.LogicalVolume) (done bool, err error) {
	if object.Spec.FSType == "" {
		// The new extents would show their old bytes at once, and zeroing them under an open device may meet what
		// the pod writes there.
		return false, refused(codes.OutOfRange, "", "block volumes are not expanded: the new bytes could not be erased before they are seen")
	}
	c, ok := v.config().VolumeGroup(object.Status.VolumeGroup.Name)
	if !ok {
		return false, again(codes.Unavailable, "", "volume group %s is not configured on node %s", object.Status.VolumeGroup.Name, v.nodeName)
	}
	unlock, err := v.groups.lock(ctx, c.Name)
	if err != nil {
		return false, err
	}
	defer unlock()
	if err := v.extendLV(ctx, object, c); err != nil {
		return false, err
	}
	if err := v.groups.report(ctx); err != nil {
		return false, err
	}
	vg, err := v.groups.asKnown(c.Name)
	if err != nil {
		return false, err
	}
	return true, v.writeReady(ctx, object, vg, false)
}

// extendLV fits the new extents into the volume group as it is now; the caller holds its lock.
func (v *volumes) extendLV(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig) error {
	vg, err := v.groups.current(ctx, c.Name)
	if err != nil {
		return err
	}
	lv, ok := vg.LogicalVolume(object.Name)
	if !ok {
		return again(codes.FailedPrecondition, "", "logical volume %s/%s is missing", vg.Name, object.Name)
	}
	wanted, err := lvm.RoundUp(object.Spec.SizeBytes, vg.ExtentSizeBytes)
	if err != nil {
		return refused(codes.OutOfRange, "", "%w", err)
	}
	if wanted <= lv.SizeBytes {
		return nil
	}
	if reason := vg.Unusable(); reason != "" {
		return refused(codes.OutOfRange, v1alpha1.ReasonInsufficientSpace, "volume group %s: %s: %w", vg.Name, reason, lvm.ErrUnusable)
	}
	placements, _, err := vg.Space(c.HeldBytes()).Fit([]int64{wanted - lv.SizeBytes})
	if err == nil {
		err = v.groups.manager.Extend(ctx, lvm.ExtendRequest{
			VolumeGroup: vg.Name, Name: object.Name, SizeBytes: wanted, PhysicalVolumes: placements[0].PhysicalVolumes,
		})
	}
	if errors.Is(err, lvm.ErrNoSpace) || errors.Is(err, lvm.ErrUnusable) {
		v.publisher.insist()
		return refused(codes.OutOfRange, v1alpha1.ReasonInsufficientSpace, "expand %s/%s from %s to %s: %s free: %w", vg.Name, object.Name,
			exactBytes(lv.SizeBytes), exactBytes(wanted), exactBytes(vg.Space(c.HeldBytes()).FreeBytes()), err)
	}
	if err != nil {
		return fmt.Errorf("expand %s/%s: %w", vg.Name, object.Name, err)
	}
	return nil
}

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
