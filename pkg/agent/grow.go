package agent

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// growBlock brings the expansion of a block volume one step further: a helper LV of the bytes missing, its zeros (a
// build, beside the worker), then its extents for the volume. Extents that the volume takes as they are would show
// their old bytes at once, and zeros written under an open device could meet what the pod writes there.
//
// Nothing is remembered but in the helper and in this process: what a crash leaves is zeroed again from the start. The
// caller holds the volume group's lock, and lets go of it while zeroing goes on.
func (v *volumes) growBlock(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig, g growth) (done bool, err error) {
	helper, found := g.vg.LogicalVolume(lvm.GrowName(object.Name))
	if _, grows := helper.Grows(); found && !grows {
		return false, refused(codes.OutOfRange, v1alpha1.ReasonForeignLogicalVolume, "expand %s/%s: logical volume %s exists and is not Berth's",
			g.vg.Name, object.Name, helper.Name)
	}
	if found && helper.SizeBytes != g.missing() {
		// The order changed, or the LV was extended by hand. The pass after this one sees what is left to do.
		return false, v.dropHelper(ctx, object.Name, g.vg.Name)
	}
	if g.missing() == 0 {
		if !v.builds.stop(object.Name) {
			return false, errWorking
		}
		return true, v.writeGrown(ctx, object, g.vg.Name)
	}
	if !found {
		if helper, err = v.makeHelper(ctx, object, c, g); err != nil {
			return false, err
		}
	}
	// The result is that of this very helper: one of its name made since has not been zeroed.
	zeroing, zeroed, err := v.builds.result(object.Name, types.UID(helper.UUID))
	switch {
	case zeroing:
		return false, errWorking
	case err != nil:
		return false, err
	case !zeroed:
		v.builds.start(object.Name, types.UID(helper.UUID), func(ctx context.Context) error { return v.zero(ctx, g.vg.Name, helper) })
		return false, errWorking
	}
	return v.absorbHelper(ctx, object, g, helper)
}

// makeHelper takes the extents that the volume is to have.
func (v *volumes) makeHelper(ctx context.Context, object *v1alpha1.LogicalVolume, c VolumeGroupConfig, g growth) (lvm.LogicalVolume, error) {
	placement, err := v.placeGrowth(ctx, object, c, g)
	if err != nil {
		return lvm.LogicalVolume{}, err
	}
	if !v.builds.stop(object.Name) {
		return lvm.LogicalVolume{}, errWorking
	}
	tags := tagsOf(object)
	tags.Grow = true
	name := lvm.GrowName(object.Name)
	err = v.groups.manager.Create(ctx, lvm.CreateRequest{
		VolumeGroup: g.vg.Name, Name: name, SizeBytes: g.missing(), Tags: tags.Strings(), PhysicalVolumes: placement.PhysicalVolumes,
	})
	if err != nil {
		return lvm.LogicalVolume{}, v.growthError(ctx, c, g, err)
	}
	// The UUID is known from a report only.
	if err := v.groups.report(ctx); err != nil {
		return lvm.LogicalVolume{}, err
	}
	vg, err := v.groups.asKnown(g.vg.Name)
	if err != nil {
		return lvm.LogicalVolume{}, err
	}
	helper, ok := vg.LogicalVolume(name)
	if !ok {
		return lvm.LogicalVolume{}, again(codes.Aborted, "", "logical volume %s/%s is gone as soon as it was made", g.vg.Name, name)
	}
	return helper, nil
}

// zero overwrites all of a helper, durably: Erase syncs.
func (v *volumes) zero(ctx context.Context, vgName string, helper lvm.LogicalVolume) error {
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "volumeID", helper.Name, "volumeGroup", vgName)
	ctx = klog.NewContext(ctx, logger)
	device, err := v.device(ctx, vgName, helper.Name)
	if err == nil {
		err = v.eraser.Erase(ctx, device, v1alpha1.EraseZero, helper.SizeBytes)
	}
	if err != nil {
		return again(codes.Aborted, "", "erase %s/%s: %w", vgName, helper.Name, err)
	}
	return nil
}

// absorbHelper is the last step: the volume takes the zeroed extents.
func (v *volumes) absorbHelper(ctx context.Context, object *v1alpha1.LogicalVolume, g growth, helper lvm.LogicalVolume) (done bool, err error) {
	vg, err := v.groups.absorb(ctx, lvm.AbsorbRequest{
		VolumeGroup: g.vg.Name, Name: object.Name, Donor: helper.Name, DonorUUID: helper.UUID,
	})
	if errors.Is(err, lvm.ErrNoSpace) || errors.Is(err, lvm.ErrNotFound) {
		// The extents are not the helper's any more: all begins again, and is refused where it begins when nothing
		// is free.
		return false, again(codes.Aborted, "", "expand %s/%s: %w", g.vg.Name, object.Name, err)
	}
	if err != nil {
		return false, fmt.Errorf("expand %s/%s: %w", g.vg.Name, object.Name, err)
	}
	if err := v.writeReady(ctx, object, vg, false); err != nil {
		return false, err
	}
	v.builds.stop(object.Name)
	return true, nil
}

// dropHelper removes a helper of the wrong size. It returns errWorking: there is more to do.
// The caller holds the volume group's lock.
func (v *volumes) dropHelper(ctx context.Context, volumeID, vgName string) error {
	if !v.builds.stop(volumeID) {
		return errWorking
	}
	if err := v.removeFrom(ctx, vgName, lvm.GrowName(volumeID)); err != nil {
		return err
	}
	if err := v.groups.report(ctx); err != nil {
		return err
	}
	v.queue.Add(volumeID)
	return errWorking
}

// stopGrowing removes what an expansion left behind that has since been taken back.
func (v *volumes) stopGrowing(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	if _, ok := v.findHelper(object.Name); !ok {
		return nil
	}
	if !v.builds.stop(object.Name) {
		return errWorking
	}
	return v.removeHelper(ctx, object.Name)
}

// removeHelper removes the volume's helper if there is one; the caller knows that nothing is zeroing it.
func (v *volumes) removeHelper(ctx context.Context, volumeID string) error {
	at, ok := v.findHelper(volumeID)
	if !ok {
		return nil
	}
	return v.removeAndReport(ctx, at.vg.Name, at.lv.Name)
}

func (v *volumes) findHelper(volumeID string) (place, bool) {
	at, ok := v.groups.find(lvm.GrowName(volumeID))
	if _, grows := at.lv.Grows(); !ok || !grows {
		return place{}, false
	}
	return at, true
}

// keepsHelper says whether an LV is a helper of a volume that looks after it itself. One that turned up when its volume
// was not to grow any more is looked after at once.
func (v *volumes) keepsHelper(lv lvm.LogicalVolume) bool {
	volumeID, grows := lv.Grows()
	if !grows {
		return false
	}
	object, err := v.lister.Get(volumeID)
	if err != nil {
		return false
	}
	if object.Status.Phase == v1alpha1.PhaseReady && wantedBytes(object) <= object.Status.AllocatedBytes {
		v.queue.Add(volumeID)
	}
	return true
}
