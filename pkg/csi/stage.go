package csi

import (
	"context"
	"fmt"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/klog/v2"
)

// NodeStageVolume implements csi.NodeServer: it mounts a volume's file system once on this node. A block volume has
// nothing to mount.
//
// It never formats. The file system was made before the volume was Ready; one that is missing or another than
// expected is damage, or somebody else's data, and a person has to look.
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
	if !used.block {
		if err := n.stage(ctx, request, info); err != nil {
			return nil, fmt.Errorf("stage volume %s: %w", request.GetVolumeId(), err)
		}
	}
	return &csi.NodeStageVolumeResponse{}, nil
}

// stage mounts a file system at the staging path, unless it is there already.
func (n *Node) stage(ctx context.Context, request *csi.NodeStageVolumeRequest, info StageInfo) error {
	path := request.GetStagingTargetPath()
	mounted, ok, err := n.mountAt(path)
	if err != nil {
		return err
	}
	if ok {
		if n.mounter.SameDevice(mounted.Device, info.DevicePath) {
			return nil
		}
		return fmt.Errorf("%s is mounted at %s, where %s belongs: %w", mounted.Device, path, info.DevicePath, ErrPrecondition)
	}
	options := mountOptions(request.GetVolumeCapability())
	if err := n.checkFileSystem(ctx, info, options); err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("create the staging path: %w", err)
	}
	if err := n.mounter.Mount(info.DevicePath, path, info.FSType, options); err != nil {
		return err
	}
	klog.FromContext(ctx).V(2).Info("Staged volume", "device", info.DevicePath, "fsType", info.FSType, "options", options)
	return nil
}

// checkFileSystem looks at what is on the device before it is mounted.
// Errors: ErrPrecondition when it is not the file system that was made.
func (n *Node) checkFileSystem(ctx context.Context, info StageInfo, options []string) error {
	found, err := n.mounter.FileSystem(info.DevicePath)
	if err != nil {
		return fmt.Errorf("look for a file system on %s: %w", info.DevicePath, err)
	}
	if found == "" {
		return fmt.Errorf("no file system on %s, %s was made on it; it is not made again, because this may be damaged data: %w",
			info.DevicePath, info.FSType, ErrPrecondition)
	}
	if found != info.FSType {
		return fmt.Errorf("%s on %s, %s was made on it: %w", found, info.DevicePath, info.FSType, ErrPrecondition)
	}
	if isReadOnly(options) {
		return nil
	}
	if err := n.mounter.Check(ctx, info.DevicePath); err != nil {
		return fmt.Errorf("%w: %w", ErrPrecondition, err)
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
	if err := n.unmount(request.GetStagingTargetPath()); err != nil {
		return nil, fmt.Errorf("unstage volume %s: %w", request.GetVolumeId(), err)
	}
	n.volumes.Unstaged(request.GetVolumeId())
	klog.FromContext(ctx).V(2).Info("Unstaged volume")
	return &csi.NodeUnstageVolumeResponse{}, nil
}
