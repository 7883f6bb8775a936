package agent

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// remove carries out the order Absent: the LV goes, a report shows it gone, then the object goes.
func (v *volumes) remove(ctx context.Context, object *v1alpha1.LogicalVolume) (done bool, err error) {
	if !v.builds.stop(object.Name) {
		return false, errWorking
	}
	if err := v.checkUnused(object); err != nil {
		return false, err
	}
	if err := v.removeLV(ctx, object); err != nil {
		return false, err
	}
	err = v.client.Delete(ctx, object.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(object.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, err
	}
	klog.FromContext(ctx).V(2).Info("Volume is removed")
	if object.Spec.Source != nil {
		v.wake(object.Spec.Source.Name)
	}
	return true, nil
}

// removeLV removes the volume's LV if there is one that is ours, and before it what the volume was to grow by and what held
// its source still.
func (v *volumes) removeLV(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	if err := v.lookAgain(ctx); err != nil {
		return err
	}
	if err := v.removeHelper(ctx, object.Name); err != nil {
		return err
	}
	if err := v.thaw(ctx, object.Name); err != nil {
		return err
	}
	at, ok := v.groups.find(object.Name)
	if !ok && object.Status.Phase == v1alpha1.PhaseAccepted {
		return v.removeUnseen(ctx, object)
	}
	if !ok {
		return v.removeElsewhere(ctx, object)
	}
	if err := v.checkSnapshots(ctx, at); err != nil {
		return err
	}
	if err := v.removeAndReport(ctx, at.vg.Name, object.Name); err != nil {
		return err
	}
	v.wake(at.lv.Origin)
	// A helper turns up now when its lvcreate had passed its deadline.
	for _, name := range []string{object.Name, lvm.GrowName(object.Name), lvm.CopyName(object.Name)} {
		if _, ok := v.groups.find(name); ok {
			return again(codes.Aborted, "", "logical volume %s/%s is still there after lvremove", at.vg.Name, name)
		}
	}
	return nil
}

// removeAndReport is one step for all who place in the volume group.
func (v *volumes) removeAndReport(ctx context.Context, vgName, name string) error {
	unlock, err := v.groups.lock(ctx, vgName)
	if err != nil {
		return err
	}
	defer unlock()
	if err := v.removeFrom(ctx, vgName, name); err != nil {
		return err
	}
	return v.groups.report(ctx)
}

// lookAgain makes sure that what is known of the volume groups is so now.
func (v *volumes) lookAgain(ctx context.Context) error {
	for _, name := range v.groups.namesNow() {
		if o, asked := v.groups.observed(name); asked && !o.found {
			continue
		}
		if _, same := v.groups.unchanged(name); !same {
			return v.groups.report(ctx)
		}
	}
	return nil
}

func (v *volumes) removeFrom(ctx context.Context, vgName, name string) error {
	err := v.groups.manager.Remove(ctx, vgName, name)
	if errors.Is(err, lvm.ErrInUse) {
		return again(codes.Aborted, v1alpha1.ReasonLogicalVolumeInUse, "logical volume %s/%s is in use; it is removed when it is not: %w", vgName, name, err)
	}
	if err != nil {
		return fmt.Errorf("remove %s/%s: %w", vgName, name, err)
	}
	return nil
}

// removeUnseen removes an LV that an lvcreate past its deadline may still be making: the Manager answers ErrBusy until
// that command has ended.
func (v *volumes) removeUnseen(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	c, err := v.volumeGroupFor(object)
	if err != nil {
		return v.removeElsewhere(ctx, object)
	}
	err = v.removeAndReport(ctx, c.Name, object.Name)
	if errors.Is(err, lvm.ErrForeign) {
		return nil
	}
	return err
}

// removeElsewhere decides about an LV that is in no configured volume group. It is gone, unless it was last in one
// that is not there now or not configured any more.
func (v *volumes) removeElsewhere(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	vgName := object.Status.VolumeGroup.Name
	if o, asked := v.groups.observed(vgName); vgName == "" || asked && o.found {
		return nil
	}
	report, err := v.groups.manager.Report(ctx, []string{vgName})
	if err != nil {
		return err
	}
	vg, ok := report.VolumeGroups[vgName]
	if !ok {
		return again(codes.Unavailable, v1alpha1.ReasonVolumeGroupMissing,
			"volume group %s is not on node %s: whether %s is still on it is not known", vgName, v.nodeName, object.Name)
	}
	for _, name := range []string{lvm.GrowName(object.Name), lvm.CopyName(object.Name), object.Name} {
		if lv, ok := vg.LogicalVolume(name); !ok || !lvm.ParseTags(lv.Tags).Owned {
			continue
		}
		if err := v.removeFrom(ctx, vgName, name); err != nil {
			return err
		}
	}
	return nil
}
