package agent

import (
	"context"
	"fmt"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// signatureBytes are zeroed of a thin block volume: no byte of the rest is anybody's, and zeros over all of it would take
// all of it from the pool.
const signatureBytes = 4 << 20

// FormatEncrypted makes what belongs inside an encrypted volume on its plaintext device: the file system, or zeros over a block
// volume. The caller has made the LUKS header, and marks the volume afterwards (MarkFormatted).
// Errors: those of Stageable; ErrNotReady when the volume was marked before.
func (v *volumes) FormatEncrypted(ctx context.Context, volumeID, device string, bytes int64) error {
	object, err := v.ready(ctx, volumeID)
	if err != nil {
		return err
	}
	at, ok := v.groups.find(volumeID)
	if !ok {
		return fmt.Errorf("logical volume of %s: %w", volumeID, lvm.ErrNotFound)
	}
	if lvm.ParseTags(at.lv.Tags).LUKS {
		return fmt.Errorf("volume %s was formatted before, it is not done again: %w", volumeID, ErrNotReady)
	}
	if object.Spec.FSType != "" {
		return v.formatter.Format(ctx, device, object.Spec.FSType, object.Spec.MkfsOptions, false)
	}
	if at.lv.ThinPool != "" {
		bytes = min(bytes, signatureBytes)
	}
	return v.eraser.Erase(ctx, device, v1alpha1.EraseZero, bytes)
}

// MarkFormatted puts the LUKS tag on the LV, after which it is never formatted again. What is known of the volume group has the
// tag then.
func (v *volumes) MarkFormatted(ctx context.Context, volumeID string) error {
	at, ok := v.groups.find(volumeID)
	if !ok {
		return fmt.Errorf("logical volume of %s: %w", volumeID, lvm.ErrNotFound)
	}
	unlock, err := v.groups.lock(ctx, at.vg.Name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := v.groups.manager.Tag(ctx, at.vg.Name, volumeID, lvm.TagLUKS); err != nil {
		return fmt.Errorf("tag %s/%s: %w", at.vg.Name, volumeID, err)
	}
	return v.groups.report(ctx)
}

// FormatEncrypted makes what belongs inside an encrypted volume; see volumes.FormatEncrypted.
func (a *Agent) FormatEncrypted(ctx context.Context, volumeID, device string, bytes int64) error {
	return a.volumes.FormatEncrypted(ctx, volumeID, device, bytes)
}

// MarkFormatted says on disk that an encrypted volume was formatted.
func (a *Agent) MarkFormatted(ctx context.Context, volumeID string) error {
	return a.volumes.MarkFormatted(ctx, volumeID)
}

// Published says that a pod is about to use a volume.
func (a *Agent) Published(string) { signal(a.limits.wake) }
