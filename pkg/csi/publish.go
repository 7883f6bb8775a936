package csi

import (
	"context"
	"errors"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/klog/v2"
)

// NodePublishVolume implements csi.NodeServer: it binds the staged file system, or the device, to a pod's path.
func (n *Node) NodePublishVolume(ctx context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	err := require(field{"volume_id", request.GetVolumeId()}, field{"target_path", request.GetTargetPath()})
	if err != nil {
		return nil, err
	}
	used, err := accessOfOne(request.GetVolumeCapability())
	if err != nil {
		return nil, err
	}
	if request.GetStagingTargetPath() == "" {
		return nil, fmt.Errorf("staging_target_path is missing: %w", ErrPrecondition)
	}
	unlock, err := n.locks.lock(request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	from, err := n.source(ctx, request, used)
	if err == nil {
		err = n.publish(ctx, request, from)
	}
	if err != nil {
		return nil, fmt.Errorf("publish volume %s: %w", request.GetVolumeId(), err)
	}
	n.volumes.Published(request.GetVolumeId())
	return &csi.NodePublishVolumeResponse{}, nil
}

// source is what to bind: the device of a block volume, else the staging path.
type source struct {
	device, path string
	block        bool
}

// source finds what to bind. A staged file system is taken from the mounts alone, so that pods restart on it even
// when its object in the API is lost.
func (n *Node) source(ctx context.Context, request *csi.NodePublishVolumeRequest, used access) (source, error) {
	if used.block {
		info, err := n.volumes.Stageable(ctx, request.GetVolumeId())
		if err != nil {
			return source{}, err
		}
		if err := checkAccess(info.FSType, used); err != nil {
			return source{}, fmt.Errorf("%w: %w", ErrPrecondition, err)
		}
		return n.blockSource(request.GetVolumeId(), info)
	}
	staged, ok, err := n.mountAt(request.GetStagingTargetPath())
	if err != nil {
		return source{}, err
	}
	if !ok {
		return source{}, fmt.Errorf("nothing is staged at %s: %w", request.GetStagingTargetPath(), ErrPrecondition)
	}
	if !staged.ReadOnly {
		// A pod that has run on it so far can go on.
		if err := n.heal(ctx, request.GetVolumeId(), staged.Device, staged.Path); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot look after the size of a file system", "device", staged.Device)
		}
	}
	return source{device: staged.Device, path: staged.Path}, nil
}

// publish binds the source to the target path, unless it is there already.
func (n *Node) publish(ctx context.Context, request *csi.NodePublishVolumeRequest, from source) error {
	target := request.GetTargetPath()
	readOnly := request.GetReadonly() || readsOnly(request.GetVolumeCapability())
	mounted, ok, err := n.mountAt(target)
	if err != nil {
		return err
	}
	if ok {
		return n.checkPublished(mounted, from, readOnly)
	}
	if err := n.checkWriters(request, from); err != nil {
		return err
	}
	if err := makeTarget(target, from.block); err != nil {
		return err
	}
	var options []string
	if readOnly {
		options = append(options, "ro")
	}
	if err := n.mounter.Bind(from.path, target, options); err != nil {
		// A bind that is made and then cannot be made read-only must not stay writable.
		return errors.Join(err, n.unmount(ctx, target), removeTarget(target))
	}
	klog.FromContext(ctx).V(2).Info("Published volume", "target", target, "readOnly", readOnly)
	return nil
}

// checkPublished compares what is mounted at the target with what is to be there.
func (n *Node) checkPublished(mounted Mounted, from source, readOnly bool) error {
	if !n.mounter.SameDevice(mounted.Device, from.device) {
		return fmt.Errorf("%s is mounted at %s, where %s belongs: %w", mounted.Device, mounted.Path, from.device, ErrPrecondition)
	}
	// A file system that was staged read-only is read-only wherever it is bound; only the reverse is a contradiction.
	if readOnly && !mounted.ReadOnly {
		return fmt.Errorf("the mount at %s %w is writable", mounted.Path, errIncompatible)
	}
	return nil
}

// checkWriters holds a volume for a single writer to one target path. The mounts tell, so that a restart forgets
// nothing.
func (n *Node) checkWriters(request *csi.NodePublishVolumeRequest, from source) error {
	mode := request.GetVolumeCapability().GetAccessMode().GetMode()
	if mode != csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER {
		return nil
	}
	others, err := n.otherMounts(from.device, request.GetStagingTargetPath(), request.GetTargetPath())
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return fmt.Errorf("%s allows one target path, the volume is published at %v: %w", mode, others, ErrPrecondition)
	}
	return nil
}

// NodeUnpublishVolume implements csi.NodeServer. What is not published is no error.
func (n *Node) NodeUnpublishVolume(ctx context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	err := require(field{"volume_id", request.GetVolumeId()}, field{"target_path", request.GetTargetPath()})
	if err != nil {
		return nil, err
	}
	unlock, err := n.locks.lock(request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := n.unmount(ctx, request.GetTargetPath()); err != nil {
		return nil, fmt.Errorf("unpublish volume %s: %w", request.GetVolumeId(), err)
	}
	if err := removeTarget(request.GetTargetPath()); err != nil {
		return nil, fmt.Errorf("unpublish volume %s: %w", request.GetVolumeId(), err)
	}
	klog.FromContext(ctx).V(2).Info("Unpublished volume", "target", request.GetTargetPath())
	return &csi.NodeUnpublishVolumeResponse{}, nil
}
