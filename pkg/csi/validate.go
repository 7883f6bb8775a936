package csi

import (
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/berth-dev/berth/pkg/lvm"
)

// field is a string field of a request.
type field struct{ name, value string }

// require names the first empty field.
// Errors: errMissing.
func require(fields ...field) error {
	for _, f := range fields {
		if f.value == "" {
			return fmt.Errorf("%s %w", f.name, errMissing)
		}
	}
	return nil
}

// access is how a volume is used: as a block device or through a file system.
type access struct {
	block bool
	// fsType is what the capability names, or empty; always empty for block.
	fsType string
}

// accessOf checks capabilities that are to hold together.
// Errors: errMissing, errInvalid naming the field.
func accessOf(capabilities []*csi.VolumeCapability) (access, error) {
	if len(capabilities) == 0 {
		return access{}, fmt.Errorf("volume_capabilities %w", errMissing)
	}
	first, err := accessOfOne(capabilities[0])
	if err != nil {
		return access{}, err
	}
	for _, capability := range capabilities[1:] {
		other, err := accessOfOne(capability)
		if err != nil {
			return access{}, err
		}
		if other != first {
			return access{}, fmt.Errorf("%w volume_capabilities: a volume is either a block device or one file system, not several", errInvalid)
		}
	}
	return first, nil
}

// accessOfOne checks one capability.
// Errors: errMissing, errInvalid naming the field.
func accessOfOne(capability *csi.VolumeCapability) (access, error) {
	if capability == nil {
		return access{}, fmt.Errorf("volume_capability %w", errMissing)
	}
	if err := checkMode(capability.GetAccessMode()); err != nil {
		return access{}, err
	}
	switch t := capability.GetAccessType().(type) {
	case *csi.VolumeCapability_Block:
		return access{block: true}, nil
	case *csi.VolumeCapability_Mount:
		if t.Mount.GetVolumeMountGroup() != "" {
			return access{}, fmt.Errorf("%w volume_capability.mount.volume_mount_group: not supported", errInvalid)
		}
		if t.Mount.GetFsType() != "" {
			if _, err := lvm.ParseFSType(t.Mount.GetFsType()); err != nil {
				return access{}, err
			}
		}
		return access{fsType: t.Mount.GetFsType()}, nil
	}
	return access{}, fmt.Errorf("volume_capability.access_type %w", errMissing)
}

// checkMode admits the modes of a volume that one node only can reach.
func checkMode(mode *csi.VolumeCapability_AccessMode) error {
	switch mode.GetMode() {
	case csi.VolumeCapability_AccessMode_UNKNOWN:
		return fmt.Errorf("volume_capability.access_mode %w", errMissing)
	case csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
		csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER,
		csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER,
		csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY:
		return nil
	}
	return fmt.Errorf("%w volume_capability.access_mode: %s is not supported, a volume is on one node", errInvalid, mode.GetMode())
}

// checkRange checks that a capacity range can be meant.
// Errors: errInvalid.
func checkRange(r *csi.CapacityRange) error {
	required, limit := r.GetRequiredBytes(), r.GetLimitBytes()
	if required < 0 {
		return fmt.Errorf("%w capacity_range.required_bytes: %d is negative", errInvalid, required)
	}
	if limit < 0 {
		return fmt.Errorf("%w capacity_range.limit_bytes: %d is negative", errInvalid, limit)
	}
	if limit > 0 && limit < required {
		return fmt.Errorf("%w capacity_range: limit_bytes %d is less than required_bytes %d", errInvalid, limit, required)
	}
	return nil
}

// checkVolumeID admits what can be a volume ID of ours, so that nothing else reaches a path or the API server.
// Errors: lvm.ErrNotFound, as no such volume can be.
func checkVolumeID(volumeID string) error {
	if problems := validation.IsDNS1123Subdomain(volumeID); len(problems) > 0 {
		return fmt.Errorf("volume %q: %w", volumeID, lvm.ErrNotFound)
	}
	return nil
}
