package csi

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/berth-dev/berth/pkg/luks"
)

// Volumes is what the node service needs of the agent.
type Volumes interface {
	// Stageable returns where a volume's device is and what is on it, and marks the volume as holding data from now
	// on. It runs no LVM command and, but for the first time, sends no API request.
	// Errors: lvm.ErrNotFound, ErrPrecondition (not ready, being removed, damaged).
	Stageable(ctx context.Context, volumeID string) (StageInfo, error)
	// FormatEncrypted makes what belongs inside an encrypted volume, on its open device of the size given: its file system,
	// or zeros. It takes as long as that takes.
	// Errors: those of Stageable, ErrPrecondition too when it was made before.
	FormatEncrypted(ctx context.Context, volumeID, device string, bytes int64) error
	// MarkFormatted says on disk that the header and the content of an encrypted volume are made, and never to be made again. It
	// runs LVM.
	MarkFormatted(ctx context.Context, volumeID string) error
	// Renew gives the file system on a device, a copy of another volume's, a UUID of its own.
	Renew(ctx context.Context, device, fsType string) error
	// Published says that a pod is about to use the volume: its limits are to be set.
	Published(volumeID string)
	// Unstaged says that a volume is no longer mounted: a removal that waited for it can go on.
	Unstaged(volumeID string)
}

// StageInfo is a volume as the node service mounts it.
type StageInfo struct {
	DevicePath string
	// FSType is the file system that was made on it, or empty for a block volume.
	FSType    string
	SizeBytes int64
	// Encrypted is true of a volume that has all of this inside LUKS2.
	Encrypted bool
	// Formatted is true of an encrypted volume whose header and content were made.
	Formatted bool
}

// Node is the CSI Node service. It mounts what is there, and never formats what was.
type Node struct {
	csi.UnimplementedNodeServer
	nodeName string
	volumes  Volumes
	mounter  Mounter
	crypt    luks.Crypt
	locks    volumeLocks
	patience patience
}

var _ csi.NodeServer = &Node{}

// NewNode makes the Node service of one node.
func NewNode(nodeName string, volumes Volumes, mounter Mounter, crypt luks.Crypt) *Node {
	return &Node{nodeName: nodeName, volumes: volumes, mounter: mounter, crypt: crypt}
}

// NodeGetInfo implements csi.NodeServer. The node ID is the node's name; the topology value is made of it, because a
// node's name may be longer than a topology value. The number of volumes has no limit of ours.
func (n *Node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.nodeName, AccessibleTopology: topologyOf(n.nodeName)}, nil
}

// NodeGetCapabilities implements csi.NodeServer.
func (n *Node) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	response := &csi.NodeGetCapabilitiesResponse{}
	for _, t := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
		csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
		csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	} {
		response.Capabilities = append(response.Capabilities, &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: t}},
		})
	}
	return response, nil
}

// NodeExpandVolume implements csi.NodeServer: the file system is made as large as its device, while it is mounted. A
// block volume has grown already, but for an encrypted one's plaintext device. That takes no secret.
func (n *Node) NodeExpandVolume(ctx context.Context, request *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	err := require(field{"volume_id", request.GetVolumeId()}, field{"volume_path", request.GetVolumePath()})
	if err != nil {
		return nil, err
	}
	if err := checkRange(request.GetCapacityRange()); err != nil {
		return nil, err
	}
	unlock, err := n.locks.lock(request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	defer unlock()
	used, err := n.inUse(request.GetVolumeId(), request.GetVolumePath())
	if err != nil {
		return nil, err
	}
	if n.isPlaintext(request.GetVolumeId(), used.device) {
		if err := n.crypt.Resize(ctx, luks.Name(request.GetVolumeId())); err != nil {
			return nil, fmt.Errorf("volume %s: %w", request.GetVolumeId(), err)
		}
	}
	size, err := n.mounter.DeviceBytes(used.device)
	if err != nil {
		return nil, err
	}
	if wanted := request.GetCapacityRange().GetRequiredBytes(); size < wanted {
		return nil, fmt.Errorf("volume %s: its device has %d bytes, %d are wanted: %w", request.GetVolumeId(), size, wanted, ErrPrecondition)
	}
	if !used.block {
		if err := n.mounter.Grow(used.device, used.path); err != nil {
			return nil, fmt.Errorf("volume %s: grow its file system: %w", request.GetVolumeId(), err)
		}
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: size}, nil
}
