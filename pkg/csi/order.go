package csi

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// defaultSizeBytes is the size of a volume whose request names none.
const defaultSizeBytes = 1 << 30

// order is a CreateVolume request, checked, before a node is chosen.
type order struct {
	// csiName is the orchestrator's name of the volume; csi-provisioner gives its PersistentVolume the same.
	csiName  string
	volumeID string
	// sizeBytes is what to ask the agent for; limitBytes is 0 for no limit.
	sizeBytes, requiredBytes, limitBytes int64
	// deviceClass is empty for the node's default.
	deviceClass string
	// fsType is empty for a block volume.
	fsType      string
	mkfsOptions []string
	erase       v1alpha1.EraseMode
	// sourceID is the snapshot or volume whose bytes the volume begins with, or empty.
	sourceID             string
	qos                  *v1alpha1.QualityOfService
	claim                v1alpha1.ClaimReference
	requisite, preferred []*csi.Topology
}

// parseOrder checks everything in a CreateVolume request that can be checked without looking at a node.
// Errors: errMissing, errInvalid, lvm.ErrUnknownParameter, lvm.ErrInvalidParameter.
func parseOrder(request *csi.CreateVolumeRequest) (*order, error) {
	if err := require(field{"name", request.GetName()}); err != nil {
		return nil, err
	}
	used, err := accessOf(request.GetVolumeCapabilities())
	if err != nil {
		return nil, err
	}
	if err := checkRange(request.GetCapacityRange()); err != nil {
		return nil, err
	}
	o := &order{
		csiName:       request.GetName(),
		volumeID:      lvm.VolumeID(request.GetName()),
		requiredBytes: request.GetCapacityRange().GetRequiredBytes(),
		limitBytes:    request.GetCapacityRange().GetLimitBytes(),
		requisite:     request.GetAccessibilityRequirements().GetRequisite(),
		preferred:     request.GetAccessibilityRequirements().GetPreferred(),
	}
	o.sizeBytes = wantedBytes(o.requiredBytes, o.limitBytes)
	if o.sourceID, err = sourceIDOf(request.GetVolumeContentSource()); err != nil {
		return nil, err
	}
	if o.qos, err = qosOf(request.GetMutableParameters()); err != nil {
		return nil, err
	}
	return o, o.setParameters(request.GetParameters(), used)
}

// setParameters takes in the StorageClass's parameters.
// Errors: lvm.ErrUnknownParameter, lvm.ErrInvalidParameter.
func (o *order) setParameters(given map[string]string, used access) error {
	parameters, err := lvm.ParseParameters(given)
	if err != nil {
		return err
	}
	erase, err := parameters.EraseFor(used.block)
	if err != nil {
		return err
	}
	o.deviceClass, o.erase, o.claim = parameters.DeviceClass, v1alpha1.EraseMode(erase), claimOf(o.volumeID, parameters)
	if !used.block {
		// csi-provisioner moves the class's parameter into the capability.
		o.fsType = cmp.Or(used.fsType, parameters.FSType)
	}
	o.mkfsOptions, err = parameters.MkfsOptionsFor(o.fsType)
	return err
}

// wantedBytes is the size to ask for: the required one, else the default within the limit.
func wantedBytes(required, limit int64) int64 {
	if required > 0 {
		return required
	}
	if limit > 0 {
		return min(limit, defaultSizeBytes)
	}
	return defaultSizeBytes
}

func claimOf(volumeID string, parameters lvm.Parameters) v1alpha1.ClaimReference {
	uid, _ := lvm.ClaimUID(volumeID)
	return v1alpha1.ClaimReference{
		Namespace: parameters.ClaimNamespace,
		Name:      parameters.ClaimName,
		UID:       types.UID(uid),
	}
}

// fitLimit returns the size to ask of a volume group: sizeBytes, or less when only rounding to extents would pass
// the limit and nothing was required.
// Errors: errRange, lvm.ErrInvalidSize.
func (o *order) fitLimit(extentBytes int64) (int64, error) {
	// A volume group that is missing has no extent size; the agent refuses it for that.
	if extentBytes <= 0 {
		return o.sizeBytes, nil
	}
	rounded, err := lvm.RoundUp(o.sizeBytes, extentBytes)
	if err != nil {
		return 0, err
	}
	if o.limitBytes == 0 || rounded <= o.limitBytes {
		return o.sizeBytes, nil
	}
	if below := o.limitBytes / extentBytes * extentBytes; o.requiredBytes == 0 && below > 0 {
		return below, nil
	}
	return 0, fmt.Errorf("%w: %d bytes are %d in whole extents of %d, more than limit_bytes %d",
		errRange, o.sizeBytes, rounded, extentBytes, o.limitBytes)
}

// object is the LogicalVolume to create on a node.
func (o *order) object(nodeName string, class *v1alpha1.DeviceClassStatus, sizeBytes int64) *v1alpha1.LogicalVolume {
	lv := &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.volumeID},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName:    nodeName,
			DeviceClass: class.Name,
			Kind:        v1alpha1.KindVolume,
			SizeBytes:   sizeBytes,
			FSType:      o.fsType,
			Encryption:  class.Encryption,
			QoS:         o.qos,
			Erase:       o.erase,
			ClaimRef:    o.claim,
			State:       v1alpha1.StatePresent,
		},
	}
	if o.sourceID != "" {
		// The file system comes with the bytes.
		lv.Spec.Source = &v1alpha1.VolumeSource{Name: o.sourceID}
	} else {
		lv.Spec.MkfsOptions = o.mkfsOptions
	}
	return lv
}

// checkSame compares a volume that is there with the order.
// Errors: errIncompatible.
func (o *order) checkSame(lv *v1alpha1.LogicalVolume) error {
	size := max(lv.Spec.SizeBytes, lv.UsableBytes())
	switch {
	case o.sourceID != sourceOf(lv):
		return fmt.Errorf("volume %s %w it was made from %q, not from %q", lv.Name, errIncompatible, sourceOf(lv), o.sourceID)
	case size < o.requiredBytes:
		return fmt.Errorf("volume %s %w has %d bytes, %d are required", lv.Name, errIncompatible, size, o.requiredBytes)
	case o.limitBytes > 0 && size > o.limitBytes:
		return fmt.Errorf("volume %s %w has %d bytes, the limit is %d", lv.Name, errIncompatible, size, o.limitBytes)
	case o.deviceClass != "" && o.deviceClass != lv.Spec.DeviceClass:
		return fmt.Errorf("volume %s %w its device class is %q, not %q", lv.Name, errIncompatible, lv.Spec.DeviceClass, o.deviceClass)
	case o.fsType != lv.Spec.FSType:
		return fmt.Errorf("volume %s %w it was made as %s, not as %s", lv.Name, errIncompatible, kind(lv.Spec.FSType), kind(o.fsType))
	}
	return nil
}

func kind(fsType string) string {
	if fsType == "" {
		return "a block volume"
	}
	return fsType
}

// allows says whether a node satisfies the accessibility requirements.
func (o *order) allows(nodeName string) bool {
	is := func(topology *csi.Topology) bool {
		return topology.GetSegments()[v1alpha1.TopologyKey] == lvm.TopologyValue(nodeName)
	}
	if len(o.requisite) == 0 && len(o.preferred) == 0 {
		return true
	}
	return slices.ContainsFunc(o.requisite, is) || slices.ContainsFunc(o.preferred, is)
}
