package lvm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Keys of StorageClass parameters.
const (
	ParameterDeviceClass = "deviceClass"
	ParameterErase       = "erase"
	ParameterFSType      = "csi.storage.k8s.io/fstype"
	ParameterMkfsOptions = "mkfsOptions"

	// The Secret with the passphrase of an encrypted volume. csi-provisioner puts it into the PersistentVolume, from which the
	// kubelet takes it; the driver's controller never sees it.
	ParameterStageSecretName      = "csi.storage.k8s.io/node-stage-secret-name"
	ParameterStageSecretNamespace = "csi.storage.k8s.io/node-stage-secret-namespace"
	// An expansion needs no passphrase; a class may name it, as it has to for other drivers.
	parameterExpandSecretName      = "csi.storage.k8s.io/node-expand-secret-name"
	parameterExpandSecretNamespace = "csi.storage.k8s.io/node-expand-secret-namespace"

	// csi-provisioner adds these with --extra-create-metadata.
	parameterClaimName      = "csi.storage.k8s.io/pvc/name"
	parameterClaimNamespace = "csi.storage.k8s.io/pvc/namespace"
	parameterVolumeName     = "csi.storage.k8s.io/pv/name"
)

// What is done to an LV's bytes before anybody sees them.
const (
	// EraseNone leaves old bytes below a fresh file system, which never shows them.
	EraseNone = "none"
	// EraseDiscard tells the disk that the bytes are unused. The disk may still return them.
	EraseDiscard = "discard"
	// EraseZero overwrites every byte.
	EraseZero = "zero"
)

// DefaultFSType is used where neither class nor capability names a file system.
const DefaultFSType = "ext4"

var (
	fsTypes    = []string{"ext4", "xfs", "btrfs"}
	eraseModes = []string{EraseNone, EraseDiscard, EraseZero}
	// userKeys are what a person may write in a StorageClass, in the order of the user guide.
	userKeys = []string{ParameterDeviceClass, ParameterFSType, ParameterMkfsOptions, ParameterErase, ParameterStageSecretName, ParameterStageSecretNamespace}
)

// Parameters are a StorageClass's parameters as driver and scheduler understand them.
type Parameters struct {
	// DeviceClass is empty when the node's default class is meant.
	DeviceClass string
	// FSType is never empty; it means nothing for a block volume.
	FSType string
	// MkfsOptions is what the class says; MkfsOptionsFor resolves it.
	MkfsOptions string
	// Erase is what the class says, or empty; EraseFor resolves it.
	Erase string
	// ClaimNamespace and ClaimName are empty when csi-provisioner did not tell them.
	ClaimNamespace, ClaimName string
}

// ParseParameters reads the parameters of a StorageClass or of a CreateVolume call. Of several faults the first by
// key is reported, so that the answer is the same every time.
// Errors: ErrUnknownParameter, ErrInvalidParameter; both name the key and what would have been right.
func ParseParameters(parameters map[string]string) (Parameters, error) {
	p := Parameters{FSType: DefaultFSType}
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		if err := p.set(key, parameters[key]); err != nil {
			return Parameters{}, err
		}
	}
	return p, nil
}

func (p *Parameters) set(key, value string) (err error) {
	switch key {
	case ParameterDeviceClass:
		p.DeviceClass = value
	case ParameterFSType:
		p.FSType, err = ParseFSType(value)
	case ParameterMkfsOptions:
		p.MkfsOptions = value
	case ParameterErase:
		if value != "" && !slices.Contains(eraseModes, value) {
			return invalid(key, value, eraseModes)
		}
		p.Erase = value
	case parameterClaimName:
		p.ClaimName = value
	case parameterClaimNamespace:
		p.ClaimNamespace = value
	case parameterVolumeName: // the volume's name comes with the call itself
	case ParameterStageSecretName, ParameterStageSecretNamespace, parameterExpandSecretName, parameterExpandSecretNamespace:
	default:
		return unknown(key, userKeys)
	}
	return err
}

// ParseFSType checks a file system's name from a StorageClass or a volume capability; empty means DefaultFSType.
// Errors: ErrInvalidParameter.
func ParseFSType(fsType string) (string, error) {
	if fsType == "" {
		return DefaultFSType, nil
	}
	if !slices.Contains(fsTypes, fsType) {
		return "", invalid(ParameterFSType, fsType, fsTypes)
	}
	return fsType, nil
}

// MkfsOptionsFor resolves the options for mkfs of a file system, which a capability may name instead of the class; none
// for a block volume.
// Errors: ErrInvalidParameter.
func (p Parameters) MkfsOptionsFor(fsType string) ([]string, error) {
	if fsType == "" {
		return nil, nil
	}
	return ParseMkfsOptions(fsType, p.MkfsOptions)
}

// EraseFor resolves what is erased for a block volume or a file system. A block volume shows its bytes to the pod
// as they are, so that nothing less than zeroing keeps another tenant's bytes from it.
// Errors: ErrInvalidParameter for a block volume of a class that asks for less.
func (p Parameters) EraseFor(block bool) (string, error) {
	if !block {
		if p.Erase == "" {
			return EraseNone, nil
		}
		return p.Erase, nil
	}
	if p.Erase != "" && p.Erase != EraseZero {
		return "", fmt.Errorf("for block volumes: %w", invalid(ParameterErase, p.Erase, []string{EraseZero}))
	}
	return EraseZero, nil
}

func unknown(key string, known []string) error {
	return fmt.Errorf("%w %q; known are %s", ErrUnknownParameter, key, strings.Join(known, ", "))
}

func invalid(key, value string, allowed []string) error {
	return fmt.Errorf("%w: %s is %q; allowed are %s", ErrInvalidParameter, key, value, strings.Join(allowed, ", "))
}
