package agent

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// takeOver makes a volume of an LV that an operator gave away. Two say so: whoever made the object, and whoever put the tag
// on the LV. It changes tags; not a byte of the LV.
//
// The volume is Ready without a seqno: the LV has been in all reports for longer than anybody counts. It is staged,
// because there is data on it.
func (v *volumes) takeOver(ctx context.Context, object *v1alpha1.LogicalVolume) error {
	class, c, ok := v.config().Class(object.Spec.DeviceClass)
	if !ok || c.Name != object.Spec.Adopt.VolumeGroup {
		return unadopted(codes.InvalidArgument, "device class %q of node %s is not of volume group %s", object.Spec.DeviceClass, v.nodeName, object.Spec.Adopt.VolumeGroup)
	}
	unlock, err := v.groups.lock(ctx, c.Name)
	if err != nil {
		return err
	}
	defer unlock()
	vg, lv, err := v.findGiven(ctx, object, c.Name)
	if err != nil {
		return err
	}
	// A pass that died after the tags were changed has left the LV like this.
	if tags := lvm.ParseTags(lv.Tags); !tags.Owned || !tags.Ready {
		if err := v.checkGiven(ctx, object, class, vg, lv); err != nil {
			return err
		}
		if vg, err = v.groups.adopt(ctx, vg.Name, lv.Name, tagsOf(object).Strings()); err != nil {
			return fmt.Errorf("adopt %s/%s: %w", c.Name, lv.Name, err)
		}
	}
	vg.Seqno = 0
	return v.writeReady(ctx, object, vg, true)
}

func unadopted(code codes.Code, format string, args ...any) error {
	return refused(code, v1alpha1.ReasonAdoptionRefused, "not adopted: "+format, args...)
}

// findGiven finds the LV in a report of now: whether it is open does not show in the metadata.
func (v *volumes) findGiven(ctx context.Context, object *v1alpha1.LogicalVolume, vgName string) (lvm.VolumeGroup, lvm.LogicalVolume, error) {
	if err := v.groups.report(ctx); err != nil {
		return lvm.VolumeGroup{}, lvm.LogicalVolume{}, err
	}
	vg, err := v.groups.asKnown(vgName)
	if errors.Is(err, lvm.ErrNotFound) {
		return vg, lvm.LogicalVolume{}, unadopted(codes.NotFound, "volume group %s is not on node %s", vgName, v.nodeName)
	}
	if err != nil {
		return vg, lvm.LogicalVolume{}, err
	}
	if reason := vg.Unusable(); reason != "" {
		return vg, lvm.LogicalVolume{}, unadopted(codes.FailedPrecondition, "volume group %s: %s", vgName, reason)
	}
	lv, ok := vg.LogicalVolume(object.Name)
	if !ok {
		return vg, lv, unadopted(codes.NotFound, "logical volume %s/%s is not on node %s", vgName, object.Name, v.nodeName)
	}
	return vg, lv, nil
}

// checkGiven refuses an LV that is not given away, is used, or is not what the order says.
func (v *volumes) checkGiven(ctx context.Context, object *v1alpha1.LogicalVolume, class lvm.DeviceClass, vg lvm.VolumeGroup, lv lvm.LogicalVolume) error {
	if lvm.ParseTags(lv.Tags).Owned {
		return unadopted(codes.AlreadyExists, "logical volume %s/%s is Berth's already", vg.Name, lv.Name)
	}
	if reason := lv.Unadoptable(class); reason != "" {
		return unadopted(codes.FailedPrecondition, "logical volume %s/%s: %s", vg.Name, lv.Name, reason)
	}
	if object.Spec.SizeBytes > lv.SizeBytes {
		return unadopted(codes.InvalidArgument, "logical volume %s/%s has %s, spec.sizeBytes is %s; it may grow when it is adopted",
			vg.Name, lv.Name, exactBytes(lv.SizeBytes), exactBytes(object.Spec.SizeBytes))
	}
	if object.Spec.FSType == "" {
		return nil
	}
	device, err := v.device(ctx, vg.Name, lv.Name)
	if err != nil {
		return err
	}
	found, err := v.disks.Signature(ctx, device)
	if err != nil {
		return err
	}
	if found != object.Spec.FSType {
		return unadopted(codes.InvalidArgument, "logical volume %s/%s holds %q, spec.fsType is %q", vg.Name, lv.Name, found, object.Spec.FSType)
	}
	return nil
}
