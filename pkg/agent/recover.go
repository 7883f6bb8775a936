package agent

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// recover deals with a name that has no object here. If LVM has an LV of ours by that name its object was lost, which
// orders nothing: the object is made again from the LV's tags, or the LV is listed as orphan.
//
// It runs on the volume's turn in the queue, so it never meets a removal that is half done; and after a removal a
// report without the LV is known before the object goes.
func (v *volumes) recover(ctx context.Context, name string) error {
	if at, ok := v.groups.find(name); ok && v.keepsHelper(at.lv) {
		v.setOrphan(name, nil)
		return nil
	}
	at, ok, err := v.confirm(ctx, name)
	if err != nil {
		return err
	}
	if !ok {
		v.setOrphan(name, nil)
		v.builds.stop(name)
		return nil
	}
	object, err := v.client.Get(ctx, name, metav1.GetOptions{})
	if err == nil && object.Spec.NodeName == v.nodeName {
		// The cache is behind; the object is on its way.
		return nil
	}
	if err == nil {
		v.orphan(name, at, fmt.Sprintf("the LogicalVolume of this name is node %s's", object.Spec.NodeName))
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	if volumeID, grows := at.lv.Grows(); grows {
		v.orphan(name, at, fmt.Sprintf("it was made for volume %s to grow by, which has no LogicalVolume", volumeID))
		return nil
	}
	if volumeID, holds := at.lv.Holds(); holds {
		v.orphan(name, at, fmt.Sprintf("it was made to copy from into volume %s, which has no LogicalVolume", volumeID))
		return nil
	}
	tags := lvm.ParseTags(at.lv.Tags)
	if !tags.Ready {
		v.orphan(name, at, "there is no LogicalVolume, and none is made because the volume was never ready")
		return nil
	}
	if tags.DeviceClass == "" {
		v.orphan(name, at, "there is no LogicalVolume, and none is made because the tags name no device class")
		return nil
	}
	return v.recreate(ctx, name, at, tags)
}

// confirm finds an LV of ours by name, in a volume group as it is now.
func (v *volumes) confirm(ctx context.Context, name string) (place, bool, error) {
	if _, ok := v.groups.find(name); !ok {
		return place{}, false, nil
	}
	if err := v.lookAgain(ctx); err != nil {
		return place{}, false, err
	}
	at, ok := v.groups.find(name)
	return at, ok, nil
}

func (v *volumes) orphan(name string, at place, message string) {
	entry := v1alpha1.OrphanEntry{Name: name, SizeBytes: at.lv.SizeBytes, Message: message}
	if tags := lvm.ParseTags(at.lv.Tags); tags.ClaimName != "" {
		entry.Claim = tags.ClaimNamespace + "/" + tags.ClaimName
	}
	v.setOrphan(name, &entry)
	v.publisher.notify()
}

// recreate makes the object again: Ready, and staged because unknown counts as yes.
func (v *volumes) recreate(ctx context.Context, name string, at place, tags lvm.VolumeTags) error {
	object := &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName: v.nodeName, DeviceClass: tags.DeviceClass, SizeBytes: at.lv.SizeBytes, FSType: tags.FSType,
			Erase: v1alpha1.EraseNone, State: v1alpha1.StatePresent,
			ClaimRef: v1alpha1.ClaimReference{Namespace: tags.ClaimNamespace, Name: tags.ClaimName},
		},
	}
	if tags.FSType == "" {
		object.Spec.Erase = v1alpha1.EraseZero
	}
	if tags.LUKS {
		object.Spec.Encryption = v1alpha1.EncryptionLUKS2
	}
	if tags.Source != "" {
		object.Spec.Source = &v1alpha1.VolumeSource{Name: tags.Source}
	}
	uid, ok := lvm.ClaimUID(name)
	if tags.Snapshot {
		object.Spec.Kind = v1alpha1.KindSnapshot
		uid, ok = lvm.SnapshotUID(name)
	}
	if ok {
		object.Spec.ClaimRef.UID = types.UID(uid)
	}
	created, err := v.client.Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		v.orphan(name, at, fmt.Sprintf("its LogicalVolume is lost and could not be made again yet: %v", err))
		return fmt.Errorf("recreate: %w", err)
	}
	klog.FromContext(ctx).Info("Made a lost LogicalVolume again from the tags on disk", "volumeGroup", at.vg.Name)
	v.event(created, corev1.EventTypeWarning, v1alpha1.ReasonRecovered,
		fmt.Sprintf("the object was lost; it is made again from logical volume %s/%s on node %s", at.vg.Name, name, v.nodeName))
	v.setOrphan(name, nil)
	return v.writeReady(ctx, created, at.vg, true)
}
