package lvm

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Keys of VolumeSnapshotClass parameters and of VolumeAttributesClass parameters.
const (
	ParameterSnapshotSize = "snapshotSize"

	ParameterReadIOPS            = "readIOPS"
	ParameterWriteIOPS           = "writeIOPS"
	ParameterReadBytesPerSecond  = "readBytesPerSecond"
	ParameterWriteBytesPerSecond = "writeBytesPerSecond"

	// csi-snapshotter adds these with --extra-create-metadata.
	parameterSnapshotName        = "csi.storage.k8s.io/volumesnapshot/name"
	parameterSnapshotNamespace   = "csi.storage.k8s.io/volumesnapshot/namespace"
	parameterSnapshotContentName = "csi.storage.k8s.io/volumesnapshotcontent/name"
)

var (
	snapshotKeys = []string{ParameterSnapshotSize}
	mutableKeys  = []string{ParameterReadIOPS, ParameterWriteIOPS, ParameterReadBytesPerSecond, ParameterWriteBytesPerSecond}
)

// StorageClassParameters are the keys that a person may write in a StorageClass.
func StorageClassParameters() []string { return slices.Clone(userKeys) }

// SnapshotClassParameters are the keys that a person may write in a VolumeSnapshotClass.
func SnapshotClassParameters() []string { return slices.Clone(snapshotKeys) }

// AttributesClassParameters are the keys that a person may write in a VolumeAttributesClass.
func AttributesClassParameters() []string { return slices.Clone(mutableKeys) }

// defaultSnapshotPercent is the part of a volume that may change until its snapshot has to grow.
const defaultSnapshotPercent = 20

// SnapshotParameters are a VolumeSnapshotClass's parameters.
type SnapshotParameters struct {
	// SizePercent is a part of the volume, SizeBytes a number; one of them is set.
	SizePercent, SizeBytes int64
	// SnapshotNamespace and SnapshotName are empty when csi-snapshotter did not tell them.
	SnapshotNamespace, SnapshotName string
}

// ParseSnapshotParameters reads the parameters of a VolumeSnapshotClass or of a CreateSnapshot call.
// Errors: ErrUnknownParameter, ErrInvalidParameter.
func ParseSnapshotParameters(parameters map[string]string) (SnapshotParameters, error) {
	p := SnapshotParameters{SizePercent: defaultSnapshotPercent}
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		value := parameters[key]
		switch key {
		case ParameterSnapshotSize:
			if err := p.setSize(value); err != nil {
				return SnapshotParameters{}, err
			}
		case parameterSnapshotNamespace:
			p.SnapshotNamespace = value
		case parameterSnapshotName:
			p.SnapshotName = value
		case parameterSnapshotContentName: // the snapshot's name comes with the call itself
		default:
			return SnapshotParameters{}, unknown(key, snapshotKeys)
		}
	}
	return p, nil
}

func (p *SnapshotParameters) setSize(value string) error {
	if value == "" {
		return nil
	}
	fault := fmt.Errorf("%w: %s is %q; allowed are 1%% to 100%% and numbers of bytes such as 2Gi", ErrInvalidParameter, ParameterSnapshotSize, value)
	if text, ok := strings.CutSuffix(value, "%"); ok {
		percent, err := strconv.ParseInt(text, 10, 64)
		if err != nil || percent < 1 || percent > 100 {
			return fault
		}
		p.SizePercent, p.SizeBytes = percent, 0
		return nil
	}
	bytes, err := parseQuantity(value)
	if err != nil || bytes == 0 {
		return fault
	}
	p.SizePercent, p.SizeBytes = 0, bytes
	return nil
}

// Bytes is what the changes of a volume of volumeBytes may come to, at least 1; of the whole volume at most, for no
// snapshot takes more.
func (p SnapshotParameters) Bytes(volumeBytes int64) int64 {
	most := MaximumSnapshotBytes(volumeBytes, snapshotChunkBytes)
	bytes := p.SizeBytes
	if p.SizePercent > 0 {
		bytes = share(most, p.SizePercent, 100)
	}
	return max(min(bytes, most), 1)
}

// MutableParameters are a VolumeAttributesClass's parameters: limits on what pods do with a volume. 0 is no limit.
type MutableParameters struct {
	ReadIOPS, WriteIOPS                     int64
	ReadBytesPerSecond, WriteBytesPerSecond int64
}

// ParseMutableParameters reads the parameters of a VolumeAttributesClass, all of them quantities. What it does not name
// is not limited.
// Errors: ErrUnknownParameter, ErrInvalidParameter.
func ParseMutableParameters(parameters map[string]string) (MutableParameters, error) {
	var p MutableParameters
	fields := map[string]*int64{
		ParameterReadIOPS: &p.ReadIOPS, ParameterWriteIOPS: &p.WriteIOPS,
		ParameterReadBytesPerSecond: &p.ReadBytesPerSecond, ParameterWriteBytesPerSecond: &p.WriteBytesPerSecond,
	}
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		field, ok := fields[key]
		if !ok {
			return MutableParameters{}, unknown(key, mutableKeys)
		}
		value, err := parseQuantity(parameters[key])
		if err != nil {
			return MutableParameters{}, fmt.Errorf("%w: %s is %q, not a number such as 500 or 20Mi", ErrInvalidParameter, key, parameters[key])
		}
		*field = value
	}
	return p, nil
}

// parseQuantity reads a whole number with or without a unit, not negative.
func parseQuantity(text string) (int64, error) {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, err
	}
	value, ok := quantity.AsInt64()
	if !ok || value < 0 {
		return 0, ErrInvalidSize
	}
	return value, nil
}
