package csi

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/klog/v2"
)

// NodeStageVolume implements csi.NodeServer: it mounts a volume's file system once on this node. A block volume has
// nothing to mount. An encrypted one of either kind is opened before.
//
// It never formats. The file system was made before the volume was Ready; one that is missing or another than
// expected is damage, or somebody else's data, and a person has to look. Only of an encrypted volume is it made at the
// first stage: before, nobody had the key.
func (n *Node) NodeStageVolume(ctx context.Context, request *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	err := require(field{"volume_id", request.GetVolumeId()}, field{"staging_target_path", request.GetStagingTargetPath()})
	if err != nil {
		return nil, err
	}
	used, err := accessOfOne(request.GetVolumeCapability())
	if err != nil {
		return nil, err
	}
	unlock, err := n.locks.lock(request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	info, err := n.volumes.Stageable(ctx, request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if err := checkAccess(info.FSType, used); err != nil {
		return nil, fmt.Errorf("volume %s: %w: %w", request.GetVolumeId(), ErrPrecondition, err)
	}
	stage := n.stage
	if used.block {
		stage = n.stageBlock
	}
	if err := stage(ctx, request, info); err != nil {
		return nil, fmt.Errorf("stage volume %s: %w", request.GetVolumeId(), err)
	}
	return &csi.NodeStageVolumeResponse{}, nil
}

// stage mounts a file system at the staging path, unless it is there already.
func (n *Node) stage(ctx context.Context, request *csi.NodeStageVolumeRequest, info StageInfo) error {
	path, device := request.GetStagingTargetPath(), deviceOf(request.GetVolumeId(), info)
	mounted, ok, err := n.mountAt(path)
	if err != nil {
		return err
	}
	if ok && !n.mounter.SameDevice(mounted.Device, device) {
		return fmt.Errorf("%s is mounted at %s, where %s belongs: %w", mounted.Device, path, device, ErrPrecondition)
	}
	if !ok {
		if err := n.unlock(ctx, request, info); err != nil {
			return err
		}
		if err := n.mount(ctx, request, info); err != nil {
			return errors.Join(err, n.lockAgain(ctx, request.GetVolumeId(), info))
		}
	}
	if mounted.ReadOnly || isReadOnly(mountOptions(request.GetVolumeCapability())) {
		return nil
	}
	return n.heal(ctx, request.GetVolumeId(), device, path)
}

// stageBlock has nothing to mount.
func (n *Node) stageBlock(ctx context.Context, request *csi.NodeStageVolumeRequest, info StageInfo) error {
	if err := n.unlock(ctx, request, info); err != nil {
		return err
	}
	return n.own(ctx, request.GetVolumeId(), info)
}

// mount checks what is on the device, and mounts it.
func (n *Node) mount(ctx context.Context, request *csi.NodeStageVolumeRequest, info StageInfo) error {
	path, device := request.GetStagingTargetPath(), deviceOf(request.GetVolumeId(), info)
	options := mountOptions(request.GetVolumeCapability())
	if err := n.checkFileSystem(ctx, device, info.FSType, options); err != nil {
		return err
	}
	if err := n.own(ctx, request.GetVolumeId(), info); err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("create the staging path: %w", err)
	}
	if err := n.mounter.Mount(device, path, info.FSType, options); err != nil {
		return err
	}
	klog.FromContext(ctx).V(2).Info("Staged volume", "device", device, "fsType", info.FSType, "options", options)
	return nil
}

// checkFileSystem looks at what is on the device before it is mounted.
// Errors: ErrPrecondition when it is not the file system that was made.
func (n *Node) checkFileSystem(ctx context.Context, device, fsType string, options []string) error {
	found, err := n.mounter.FileSystem(device)
	if err != nil {
		return fmt.Errorf("look for a file system on %s: %w", device, err)
	}
	if found == "" {
		return fmt.Errorf("no file system on %s, %s was made on it; it is not made again, because this may be damaged data: %w",
			device, fsType, ErrPrecondition)
	}
	if found != fsType {
		return fmt.Errorf("%s on %s, %s was made on it: %w", found, device, fsType, ErrPrecondition)
	}
	if isReadOnly(options) {
		return nil
	}
	if err := n.mounter.Check(ctx, device); err != nil {
		return fmt.Errorf("%w: %w", ErrPrecondition, err)
	}
	return nil
}

// heal makes a file system as large as its device where it is smaller: somebody died between the two growths, or the
// volume was made from a smaller one.
func (n *Node) heal(ctx context.Context, volumeID, device, path string) error {
	if err := n.resizePlaintext(ctx, volumeID, device); err != nil {
		return err
	}
	smaller, err := n.mounter.Smaller(device)
	if err != nil || !smaller {
		return err
	}
	klog.FromContext(ctx).Info("Growing a file system that is smaller than its device", "device", device)
	if err := n.mounter.Grow(device, path); err != nil {
		return fmt.Errorf("grow the file system: %w", err)
	}
	return nil
}

// mountOptions are the capability's, and ro for a mode that only reads.
func mountOptions(capability *csi.VolumeCapability) []string {
	options := append([]string(nil), capability.GetMount().GetMountFlags()...)
	if readsOnly(capability) && !isReadOnly(options) {
		options = append(options, "ro")
	}
	return options
}

func readsOnly(capability *csi.VolumeCapability) bool {
	return capability.GetAccessMode().GetMode() == csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY
}

func isReadOnly(options []string) bool {
	for _, option := range options {
		if option == "ro" {
			return true
		}
	}
	return false
}

// NodeUnstageVolume implements csi.NodeServer. What is not staged is no error. The agent is told, because a removal may
// be waiting for it.
func (n *Node) NodeUnstageVolume(ctx context.Context, request *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	err := require(field{"volume_id", request.GetVolumeId()}, field{"staging_target_path", request.GetStagingTargetPath()})
	if err != nil {
		return nil, err
	}
	unlock, err := n.locks.lock(request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := n.unmount(ctx, request.GetStagingTargetPath()); err != nil {
		return nil, fmt.Errorf("unstage volume %s: %w", request.GetVolumeId(), err)
	}
	if err := n.closePlaintext(ctx, request.GetVolumeId()); err != nil {
		return nil, fmt.Errorf("unstage volume %s: %w", request.GetVolumeId(), err)
	}
	n.volumes.Unstaged(request.GetVolumeId())
	klog.FromContext(ctx).V(2).Info("Unstaged volume")
	return &csi.NodeUnstageVolumeResponse{}, nil
}
