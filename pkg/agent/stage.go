package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// ErrNotReady means that the volume is there but not to be used: being made, refused, lost, or ordered Absent.
var ErrNotReady = errors.New("volume is not ready")

// StageInfo is what staging a volume takes.
type StageInfo struct {
	DevicePath string
	// FSType is the file system that is on the device; empty for a block volume.
	FSType    string
	SizeBytes int64
	// Encrypted is true of a volume that has its file system or bytes inside LUKS2.
	Encrypted bool
	// Formatted is true of an encrypted volume whose LUKS header and content were made.
	Formatted bool
}

// Stageable says where a volume's device is, after it has marked the volume as staged in the API. For a volume that
// is marked and active it takes neither LVM nor the API.
// Errors: lvm.ErrNotFound (no such volume on this node), ErrNotReady, those of activation, or gRPC status Unavailable
// (the API server does not answer).
func (v *volumes) Stageable(ctx context.Context, volumeID string) (StageInfo, error) {
	info, err := v.stageable(ctx, volumeID)
	if isAPIError(err) {
		return StageInfo{}, status.Error(codes.Unavailable, err.Error())
	}
	return info, err
}

func (v *volumes) stageable(ctx context.Context, volumeID string) (StageInfo, error) {
	object, err := v.ready(ctx, volumeID)
	if err != nil {
		return StageInfo{}, err
	}
	if !object.Status.Staged {
		_, _, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, _ int64) { status.Staged = true })
		if err != nil {
			return StageInfo{}, err
		}
	}
	device, err := v.device(ctx, object.Status.VolumeGroup.Name, object.Name)
	if err != nil {
		return StageInfo{}, err
	}
	info := StageInfo{DevicePath: device, FSType: object.Spec.FSType, SizeBytes: object.Status.AllocatedBytes}
	if object.Spec.Encryption == "" {
		return info, nil
	}
	// Whether a header may be made is known from the tags alone, and unknown is not yes.
	at, ok := v.groups.find(object.Name)
	if !ok {
		return StageInfo{}, fmt.Errorf("volume %s is in no report of volume group %s: %w", object.Name, object.Status.VolumeGroup.Name, ErrNotReady)
	}
	info.Encrypted, info.Formatted = true, lvm.ParseTags(at.lv.Tags).LUKS
	return info, nil
}

// Unstaged wakes a removal that waits for the volume to be closed.
func (v *volumes) Unstaged(volumeID string) {
	if object, err := v.lister.Get(volumeID); err == nil && object.Spec.State == v1alpha1.StateAbsent {
		v.Retry(volumeID)
	}
}

// ready finds a volume that may be used. What the cache does not confirm is read from the API server: the cache may
// be behind the reply that sent the caller here.
func (v *volumes) ready(ctx context.Context, volumeID string) (*v1alpha1.LogicalVolume, error) {
	object, err := v.lister.Get(volumeID)
	if err == nil && usable(object) == nil {
		return object, nil
	}
	object, err = v.client.Get(ctx, volumeID, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && object.Spec.NodeName != v.nodeName {
		return nil, fmt.Errorf("volume %s on node %s: %w", volumeID, v.nodeName, lvm.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return object, usable(object)
}

func usable(object *v1alpha1.LogicalVolume) error {
	switch {
	case object.Spec.Kind == v1alpha1.KindSnapshot:
		return fmt.Errorf("%s is a snapshot: %w", object.Name, ErrNotReady)
	case object.Spec.State == v1alpha1.StateAbsent:
		return fmt.Errorf("volume %s is ordered to be removed: %w", object.Name, ErrNotReady)
	case object.Status.Phase != v1alpha1.PhaseReady:
		return fmt.Errorf("volume %s is in phase %q: %w", object.Name, object.Status.Phase, ErrNotReady)
	}
	if c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.LogicalVolumeHealthy); c != nil && c.Status == metav1.ConditionFalse {
		return fmt.Errorf("volume %s: %s: %w", object.Name, c.Message, ErrNotReady)
	}
	return nil
}

// device is the path of an LV's device. One that is not there is activated, once: after a reboot the agent
// activates all of its LVs before it serves, so this is a repair.
func (v *volumes) device(ctx context.Context, vgName, name string) (string, error) {
	path := v.groups.manager.DevicePath(vgName, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	klog.FromContext(ctx).Info("Volume's device is missing, activate it", "volumeID", name, "volumeGroup", vgName, "device", path)
	if err := v.groups.manager.Activate(ctx, vgName, []string{name}); err != nil {
		return "", fmt.Errorf("activate %s/%s: %w", vgName, name, err)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("activated %s/%s: %w", vgName, name, err)
	}
	return path, nil
}
