package csi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/luks"
	"github.com/berth-dev/berth/pkg/lvm"
)

// passphraseKey is the key of the node-stage secret that opens a volume.
const passphraseKey = "passphrase"

// labelUnfinished is the label of a LUKS header while what belongs inside is being made. Afterwards it is labelOf the
// volume. So the header itself tells, whatever became of the tag, whether it may be made again; and a header with the
// label of another volume was copied from it.
const labelUnfinished = "berth-unfinished"

// labelOf is a label for a volume, the volume ID where that is short enough.
func labelOf(volumeID string) string {
	if len(volumeID) > luks.LabelBytes {
		return lvm.VolumeID(volumeID)
	}
	return volumeID
}

// deviceOf is the device that is mounted or bound.
func deviceOf(volumeID string, info StageInfo) string {
	if info.Encrypted {
		return luks.Path(luks.Name(volumeID))
	}
	return info.DevicePath
}

// encrypted is a volume on its way to be opened.
type encrypted struct {
	volumeID, name string
	// device holds the header.
	device   string
	key      []byte
	discards bool
}

// unlock opens an encrypted volume; one that was never formatted is, first. Of any other volume it does nothing.
// Errors: errMissing (the passphrase), luks.ErrKey, luks.ErrNoHeader, ErrPrecondition.
func (n *Node) unlock(ctx context.Context, request *csi.NodeStageVolumeRequest, info StageInfo) error {
	if !info.Encrypted {
		return nil
	}
	passphrase := request.GetSecrets()[passphraseKey]
	if passphrase == "" {
		return fmt.Errorf("secrets[%q] %w: the volume is encrypted", passphraseKey, errMissing)
	}
	e := encrypted{
		volumeID: request.GetVolumeId(), name: luks.Name(request.GetVolumeId()), device: info.DevicePath, key: []byte(passphrase),
		discards: slices.Contains(request.GetVolumeCapability().GetMount().GetMountFlags(), "discard"),
	}
	if info.Formatted {
		return n.open(ctx, e)
	}
	finished, err := n.finished(e)
	if err != nil {
		return err
	}
	if !finished {
		return n.format(ctx, e)
	}
	if err := n.open(ctx, e); err != nil {
		return err
	}
	if err := n.volumes.MarkFormatted(ctx, e.volumeID); err != nil {
		return errors.Join(err, n.crypt.Close(ctx, e.name))
	}
	return nil
}

// finished looks at a device without the tag: is there a header that was finished for this volume, or may one be made?
// Errors: ErrPrecondition when neither.
func (n *Node) finished(e encrypted) (bool, error) {
	label, err := n.crypt.Label(e.device)
	switch {
	case errors.Is(err, luks.ErrNoHeader):
		return false, n.checkBlank(e.device)
	case err != nil:
		return false, err
	case label == labelUnfinished:
		return false, nil
	case label == labelOf(e.volumeID):
		return true, nil
	}
	return false, fmt.Errorf("a LUKS header with label %q is on %s, where a new one belongs; it is not written over: %w", label, e.device, ErrPrecondition)
}

func (n *Node) checkBlank(device string) error {
	found, err := n.mounter.FileSystem(device)
	if err != nil {
		return fmt.Errorf("look for data on %s: %w", device, err)
	}
	if found != "" {
		return fmt.Errorf("%s is on %s, where a LUKS header belongs; it is not written over: %w", found, device, ErrPrecondition)
	}
	return nil
}

// format makes header and content, and leaves the volume open. The tag comes last; a crash before begins again. It does not
// end with the call: what a deadline cuts off would be begun again by the next one, and never come to an end.
func (n *Node) format(ctx context.Context, e encrypted) error {
	ctx = context.WithoutCancel(ctx)
	if err := n.closeLeftover(ctx, e); err != nil {
		return err
	}
	if err := n.crypt.Format(ctx, e.device, labelUnfinished, e.key); err != nil {
		return err
	}
	if err := n.crypt.Open(ctx, e.device, e.name, e.key, e.discards); err != nil {
		return err
	}
	if err := n.formatOpened(ctx, e); err != nil {
		return errors.Join(err, n.crypt.Close(ctx, e.name))
	}
	klog.FromContext(ctx).V(2).Info("Encrypted volume", "device", e.device)
	return nil
}

func (n *Node) formatOpened(ctx context.Context, e encrypted) error {
	bytes, err := n.mounter.DeviceBytes(luks.Path(e.name))
	if err != nil {
		return err
	}
	if err := n.volumes.FormatEncrypted(ctx, e.volumeID, luks.Path(e.name), bytes); err != nil {
		return err
	}
	if err := n.crypt.SetLabel(ctx, e.device, labelOf(e.volumeID)); err != nil {
		return err
	}
	return n.volumes.MarkFormatted(ctx, e.volumeID)
}

// open opens a volume, unless it is open already.
func (n *Node) open(ctx context.Context, e encrypted) error {
	state, err := n.crypt.State(e.name, e.device)
	if err != nil || state == luks.Open {
		return err
	}
	if err := n.closeLeftover(ctx, e); err != nil {
		return err
	}
	return n.crypt.Open(ctx, e.device, e.name, e.key, e.discards)
}

// closeLeftover closes what is open under the volume's name and cannot be used: the device below went away and came back
// as another, or a format was cut off. Nothing of it is mounted where the volume is staged.
func (n *Node) closeLeftover(ctx context.Context, e encrypted) error {
	state, err := n.crypt.State(e.name, e.device)
	if err != nil || state == luks.Closed {
		return err
	}
	if err := n.crypt.Close(ctx, e.name); err != nil {
		return fmt.Errorf("%s is open from before and cannot be closed: %w: %w", e.name, ErrPrecondition, err)
	}
	return nil
}

// own makes a copy of another encrypted volume the volume's own, once: its file system gets a new UUID, without which the
// two could not be mounted side by side. A file system that is not encrypted has been renewed by the agent.
func (n *Node) own(ctx context.Context, volumeID string, info StageInfo) error {
	if !info.Encrypted {
		return nil
	}
	label, err := n.crypt.Label(info.DevicePath)
	if err != nil || label == labelOf(volumeID) {
		return err
	}
	if info.FSType != "" {
		if err := n.volumes.Renew(ctx, deviceOf(volumeID, info), info.FSType); err != nil {
			return fmt.Errorf("new UUID for a copied file system: %w", err)
		}
	}
	return n.crypt.SetLabel(ctx, info.DevicePath, labelOf(volumeID))
}

// lockAgain closes an encrypted volume that could not be staged.
func (n *Node) lockAgain(ctx context.Context, volumeID string, info StageInfo) error {
	if !info.Encrypted {
		return nil
	}
	return n.crypt.Close(context.WithoutCancel(ctx), luks.Name(volumeID))
}

// closePlaintext closes an encrypted volume, if that is one. It needs neither key nor object, and as little the device
// below: what cannot be closed now goes as soon as the kernel lets go of it.
func (n *Node) closePlaintext(ctx context.Context, volumeID string) error {
	if checkVolumeID(volumeID) != nil {
		return nil
	}
	name := luks.Name(volumeID)
	state, err := n.crypt.State(name, "")
	if err != nil || state == luks.Closed {
		return err
	}
	closeErr := n.crypt.Close(ctx, name)
	if closeErr == nil {
		return nil
	}
	klog.FromContext(ctx).Info("Cannot close an encrypted volume now, the kernel does it later", "name", name, "err", closeErr)
	if err := n.crypt.CloseLater(ctx, name); err != nil {
		return errors.Join(closeErr, err)
	}
	return nil
}

// isPlaintext says whether a device in use is the plaintext of an encrypted volume.
func (n *Node) isPlaintext(volumeID, device string) bool {
	return n.mounter.SameDevice(device, luks.Path(luks.Name(volumeID)))
}

// resizePlaintext makes an open device as large as the logical volume below; of a volume that is not encrypted it does
// nothing.
func (n *Node) resizePlaintext(ctx context.Context, volumeID, device string) error {
	if !n.isPlaintext(volumeID, device) {
		return nil
	}
	grown, err := n.crypt.Grown(luks.Name(volumeID))
	if err != nil || !grown {
		return err
	}
	return n.crypt.Resize(ctx, luks.Name(volumeID))
}

// blockSource is the device of a block volume.
// Errors: ErrPrecondition when it is encrypted and not staged.
func (n *Node) blockSource(volumeID string, info StageInfo) (source, error) {
	device := deviceOf(volumeID, info)
	if info.Encrypted {
		state, err := n.crypt.State(luks.Name(volumeID), info.DevicePath)
		if err != nil {
			return source{}, err
		}
		if state != luks.Open {
			return source{}, fmt.Errorf("it is encrypted and not open: %w", ErrPrecondition)
		}
	}
	return source{device: device, path: device, block: true}, nil
}
