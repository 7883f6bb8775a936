package agent

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// create brings an accepted volume one step further: the LV, then its bytes and file system (a build, beside the
// worker), then the ready tag, then phase Ready. done is true with the last.
func (v *volumes) create(ctx context.Context, object *v1alpha1.LogicalVolume) (done bool, err error) {
	if object.Spec.Adopt != nil {
		return true, v.takeOver(ctx, object)
	}
	if err := checkOrder(object); err != nil {
		return false, err
	}
	running, built, buildErr := v.builds.result(object.Name, object.UID)
	if running {
		return false, errWorking
	}
	if buildErr != nil {
		return false, buildErr
	}
	at, fresh, err := v.makeLV(ctx, object)
	if err != nil {
		return false, err
	}
	if lvm.ParseTags(at.lv.Tags).Ready {
		// A tag that our own finish has just put there is no sign of an earlier life.
		return true, v.adopt(ctx, object, at, !built)
	}
	if fresh || !built {
		v.builds.start(object.Name, object.UID, func(ctx context.Context) error { return v.build(ctx, object, at, fresh) })
		return false, errWorking
	}
	vg, err := v.finish(ctx, at.vg.Name, object.Name)
	if err != nil {
		return false, err
	}
	if err := v.writeReady(ctx, object, vg, false); err != nil {
		return false, err
	}
	v.builds.stop(object.Name)
	return true, nil
}

// finish puts the ready tag on the LV, under the volume group's lock: what a placement predicts stays true.
func (v *volumes) finish(ctx context.Context, vgName, name string) (lvm.VolumeGroup, error) {
	unlock, err := v.groups.lock(ctx, vgName)
	if err != nil {
		return lvm.VolumeGroup{}, err
	}
	defer unlock()
	vg, err := v.groups.finish(ctx, vgName, name)
	if err != nil {
		return lvm.VolumeGroup{}, fmt.Errorf("finish %s/%s: %w", vgName, name, err)
	}
	return vg, nil
}

// checkOrder refuses what the controller should not have ordered.
func checkOrder(object *v1alpha1.LogicalVolume) error {
	spec := object.Spec
	if spec.FSType == "" && spec.Erase != v1alpha1.EraseZero && spec.Encryption == "" {
		return refused(codes.InvalidArgument, "", "erase %q: a block volume shows its bytes and is made with erase %q only", spec.Erase, v1alpha1.EraseZero)
	}
	if least, ok := leastBytes[spec.FSType]; ok && spec.SizeBytes < least {
		return refused(codes.InvalidArgument, "", "%s of %s: the file system takes at least %s", spec.FSType, exactBytes(spec.SizeBytes), exactBytes(least))
	}
	return nil
}

// makeLV finds the volume's LV or makes it. fresh is true when this call made it.
func (v *volumes) makeLV(ctx context.Context, object *v1alpha1.LogicalVolume) (at place, fresh bool, err error) {
	c, err := v.volumeGroupFor(object)
	if err != nil {
		return place{}, false, err
	}
	unlock, err := v.groups.lock(ctx, c.Name)
	if err != nil {
		return place{}, false, err
	}
	defer unlock()
	at, fresh, err = v.placeLV(ctx, object, v.asHeld(c))
	if finalRefusal(err) {
		return place{}, false, v.refuse(ctx, object, c, err)
	}
	return at, fresh, err
}

// volumeGroupFor is where the LV is already (the class may have moved since), else its class's volume group.
func (v *volumes) volumeGroupFor(object *v1alpha1.LogicalVolume) (VolumeGroupConfig, error) {
	config := v.config()
	if at, ok := v.groups.find(object.Name); ok {
		if c, ok := config.VolumeGroup(at.vg.Name); ok {
			return c, nil
		}
	}
	if _, c, ok := config.Class(object.Spec.DeviceClass); ok {
		return c, nil
	}
	return VolumeGroupConfig{}, v.noClass(object)
}

// placeLV makes the LV where it fits in the volume group as it is now; the caller holds the volume group's lock.
// Errors: ErrNoSpace, ErrNotFound (volume group), ErrUnusable, ErrInvalidSize, ErrForeign (an LV of that name is not
// ours), and those that are tried again.
func (v *volumes) placeLV(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig) (at place, fresh bool, err error) {
	vg, err := v.groups.current(ctx, c.Name)
	if err != nil {
		return place{}, false, err
	}
	if lv, ok := vg.LogicalVolume(object.Name); ok {
		tags := lvm.ParseTags(lv.Tags)
		if !tags.Owned {
			return place{}, false, fmt.Errorf("%s/%s: %w", vg.Name, lv.Name, lvm.ErrForeign)
		}
		if !tags.Ready && v.isFragment(object, vg, lv) {
			return place{}, false, v.dropFragment(ctx, object, vg.Name)
		}
		return place{vg, lv}, false, nil
	}
	layout, err := v.newLayout(object, vg.Name)
	if err != nil {
		return place{}, false, err
	}
	if reason := vg.Unusable(); reason != "" {
		return place{}, false, fmt.Errorf("%s: %w", reason, lvm.ErrUnusable)
	}
	placement, err := v.space(ctx, vg, c, layout).Place(lvm.Request{SizeBytes: object.Spec.SizeBytes, Layout: layout})
	if err != nil {
		return place{}, false, err
	}
	request := lvm.CreateRequest{
		VolumeGroup: vg.Name, Name: object.Name, Layout: layout, SizeBytes: placement.SizeBytes,
		Tags: tagsOf(object).Strings(), PhysicalVolumes: placement.PhysicalVolumes,
	}
	// A result of an earlier LV of this name says nothing about the one made now.
	if !v.builds.stop(object.Name) {
		return place{}, false, again(codes.Aborted, "", "%s is still being formatted", object.Name)
	}
	if err := v.groups.manager.Create(ctx, request); err != nil {
		return place{}, false, fmt.Errorf("create %s/%s: %w", vg.Name, object.Name, err)
	}
	return place{vg, v.groups.predict(vg, request)}, true, nil
}

// isFragment tells whether an LV with legs is what a creation that died has left.
func (v *volumes) isFragment(object *v1alpha1.LogicalVolume, vg lvm.VolumeGroup, lv lvm.LogicalVolume) bool {
	layout, err := v.newLayout(object, vg.Name)
	if err != nil || layout.Legs() == 0 {
		return false
	}
	request := lvm.Request{SizeBytes: object.Spec.SizeBytes, Layout: layout}
	return !lv.Made(layout, request.MissingBytes(vg.ExtentSizeBytes))
}

// dropFragment removes it, for the next pass to begin again. The caller holds the volume group's lock.
func (v *volumes) dropFragment(ctx context.Context, object *v1alpha1.LogicalVolume, vgName string) error {
	if !v.builds.stop(object.Name) {
		return errWorking
	}
	if err := v.removeFrom(ctx, vgName, object.Name); err != nil {
		return err
	}
	if err := v.groups.report(ctx); err != nil {
		return err
	}
	v.queue.Add(object.Name)
	return errWorking
}

func tagsOf(object *v1alpha1.LogicalVolume) lvm.VolumeTags {
	return lvm.VolumeTags{
		ClaimNamespace: object.Spec.ClaimRef.Namespace, ClaimName: object.Spec.ClaimRef.Name,
		DeviceClass: object.Spec.DeviceClass, FSType: object.Spec.FSType,
	}
}

func finalRefusal(err error) bool {
	for _, final := range []error{lvm.ErrNoSpace, lvm.ErrUnusable, lvm.ErrNotFound, lvm.ErrInvalidSize, lvm.ErrForeign} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// refuse turns a refusal into the final answer, after a report that shows what there is now: it is published for
// those who promised the bytes, and it proves that nothing of the volume is left on disk.
// The caller holds the volume group's lock.
func (v *volumes) refuse(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig, cause error) error {
	if err := v.groups.report(ctx); err != nil {
		return err
	}
	v.publisher.insist()
	vg, err := v.groups.asKnown(c.Name)
	if errors.Is(err, lvm.ErrNotFound) {
		return refused(codes.ResourceExhausted, v1alpha1.ReasonInsufficientSpace,
			"node %s, device class %s: volume group %s is not there", v.nodeName, object.Spec.DeviceClass, c.Name)
	}
	if lv, ok := vg.LogicalVolume(object.Name); ok && !lvm.ParseTags(lv.Tags).Owned {
		return refused(codes.AlreadyExists, v1alpha1.ReasonForeignLogicalVolume,
			"node %s: logical volume %s/%s exists and is not Berth's", v.nodeName, vg.Name, lv.Name)
	} else if ok {
		return again(codes.Aborted, "", "%s/%s: left behind by a refused lvcreate: %w", vg.Name, lv.Name, cause)
	}
	if errors.Is(cause, lvm.ErrInvalidSize) {
		return refused(codes.InvalidArgument, "", "size %s: %w", exactBytes(object.Spec.SizeBytes), cause)
	}
	class, _, _ := v.config().Class(object.Spec.DeviceClass)
	layout := layoutOf(class, object)
	return refused(codes.ResourceExhausted, v1alpha1.ReasonInsufficientSpace,
		"node %s, device class %s, volume group %s: %s wanted, %s free: %w", v.nodeName, object.Spec.DeviceClass, vg.Name,
		exactBytes(object.Spec.SizeBytes), exactBytes(v.space(ctx, vg, c, layout).FreeBytesFor(layout)), cause)
}

// build makes a volume's bytes presentable: erased as ordered, no signature, formatted. It starts over after a crash.
// In a thin pool that zeroes they are zero as they are.
func (v *volumes) build(ctx context.Context, object *v1alpha1.LogicalVolume, at place, fresh bool) error {
	device := v.groups.manager.DevicePath(at.vg.Name, object.Name)
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "volumeID", object.Name, "volumeGroup", at.vg.Name)
	ctx = klog.NewContext(ctx, logger)
	if !zeroed(at.vg, at.lv) {
		if err := v.eraser.Erase(ctx, device, object.Spec.Erase, at.lv.SizeBytes); err != nil {
			return again(codes.Aborted, "", "erase %s/%s: %w", at.vg.Name, object.Name, err)
		}
	}
	if object.Spec.FSType == "" {
		return nil
	}
	if err := v.formatter.Format(ctx, device, object.Spec.FSType, !fresh); err != nil {
		return again(codes.Aborted, "", "make %s on %s/%s: %w", object.Spec.FSType, at.vg.Name, object.Name, err)
	}
	return nil
}

// adopt writes Ready for an LV that carries the ready tag while its object does not say so. It may have been staged
// before the object was lost: unknown counts as yes.
func (v *volumes) adopt(ctx context.Context, object *v1alpha1.LogicalVolume, at place, staged bool) error {
	klog.FromContext(ctx).Info("Volume is ready on disk already", "volumeGroup", at.vg.Name)
	if err := v.writeReady(ctx, object, at.vg, staged); err != nil {
		return err
	}
	v.builds.stop(object.Name)
	return nil
}

// writeReady is the last step; the LV stands in vg with the ready tag.
func (v *volumes) writeReady(ctx context.Context, object *v1alpha1.LogicalVolume, vg lvm.VolumeGroup, staged bool) error {
	lv, ok := vg.LogicalVolume(object.Name)
	if !ok {
		return fmt.Errorf("%s/%s: %w", vg.Name, object.Name, lvm.ErrNotFound)
	}
	_, _, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, generation int64) {
		status.Phase, status.Code, status.Message = v1alpha1.PhaseReady, "", ""
		status.AllocatedBytes = lv.SizeBytes
		status.VolumeGroup = v1alpha1.VolumeGroupReference{Name: vg.Name, UUID: vg.UUID, Seqno: vg.Seqno}
		status.Staged = status.Staged || staged
		status.ObservedGeneration = generation
		setCondition(&status.Conditions, healthy())
	})
	if err != nil {
		return err
	}
	klog.FromContext(ctx).V(2).Info("Volume is ready", "volumeGroup", vg.Name, "size", exactBytes(lv.SizeBytes), "seqno", vg.Seqno)
	v.event(object, corev1.EventTypeNormal, v1alpha1.ReasonReady, fmt.Sprintf("logical volume %s/%s of %s on node %s", vg.Name, lv.Name, exactBytes(lv.SizeBytes), v.nodeName))
	return nil
}

func healthy() metav1.Condition {
	return metav1.Condition{Type: v1alpha1.LogicalVolumeHealthy, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
}
