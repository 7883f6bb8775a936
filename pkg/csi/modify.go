package csi

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// qosOf reads the parameters of a VolumeAttributesClass; nil when they limit nothing.
// Errors: lvm.ErrUnknownParameter, lvm.ErrInvalidParameter.
func qosOf(parameters map[string]string) (*v1alpha1.QualityOfService, error) {
	limits, err := lvm.ParseMutableParameters(parameters)
	if err != nil || limits == (lvm.MutableParameters{}) {
		return nil, err
	}
	qos := v1alpha1.QualityOfService(limits)
	return &qos, nil
}

// ControllerModifyVolume implements csi.ControllerServer: it writes spec.qos, which the agent keeps to from then on. A
// limit that the class does not name is taken away: the class says what the volume is to be, not what is to change.
func (c *Controller) ControllerModifyVolume(ctx context.Context, request *csi.ControllerModifyVolumeRequest) (*csi.ControllerModifyVolumeResponse, error) {
	if err := require(field{"volume_id", request.GetVolumeId()}); err != nil {
		return nil, err
	}
	qos, err := qosOf(request.GetMutableParameters())
	if err != nil {
		return nil, err
	}
	lv, err := c.findVolume(ctx, request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if lv.Spec.State == v1alpha1.StateAbsent {
		return nil, fmt.Errorf("volume %s is being removed: %w", lv.Name, ErrPrecondition)
	}
	if sameLimits(lv.Spec.QoS, qos) {
		return &csi.ControllerModifyVolumeResponse{}, nil
	}
	patch := specPatch{}
	if patch.Spec.QoS, err = limitsPatch(qos); err != nil {
		return nil, fmt.Errorf("limits of volume %s: %w", lv.Name, err)
	}
	if _, err := patchSpec(ctx, c.volumes, lv, patch); err != nil {
		return nil, err
	}
	klog.FromContext(ctx).V(2).Info("Changed limits", "volumeID", lv.Name, "parameters", request.GetMutableParameters())
	return &csi.ControllerModifyVolumeResponse{}, nil
}

func sameLimits(a, b *v1alpha1.QualityOfService) bool {
	none := v1alpha1.QualityOfService{}
	if a == nil {
		a = &none
	}
	if b == nil {
		b = &none
	}
	return *a == *b
}

// limitsPatch is a merge patch that leaves no other limits than the ones given.
func limitsPatch(qos *v1alpha1.QualityOfService) (json.RawMessage, error) {
	if qos == nil {
		return json.RawMessage("null"), nil
	}
	orNull := func(limit int64) *int64 {
		if limit == 0 {
			return nil
		}
		return &limit
	}
	return json.Marshal(map[string]*int64{
		"readIOPS": orNull(qos.ReadIOPS), "writeIOPS": orNull(qos.WriteIOPS),
		"readBytesPerSecond": orNull(qos.ReadBytesPerSecond), "writeBytesPerSecond": orNull(qos.WriteBytesPerSecond),
	})
}
