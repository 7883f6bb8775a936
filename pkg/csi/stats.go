package csi

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// NodeGetVolumeStats implements csi.NodeServer: bytes and inodes of a file system, the size of a block volume. It takes
// no lock, as the kubelet asks for it all the time and it changes nothing.
func (n *Node) NodeGetVolumeStats(ctx context.Context, request *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	err := require(field{"volume_id", request.GetVolumeId()}, field{"volume_path", request.GetVolumePath()})
	if err != nil {
		return nil, err
	}
	used, err := n.inUse(request.GetVolumeId(), request.GetVolumePath())
	if err != nil {
		return nil, err
	}
	if used.block {
		return n.blockStats(used)
	}
	usage, err := n.usage(ctx, used.path)
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", request.GetVolumeId(), err)
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: usage.TotalBytes, Used: usage.UsedBytes, Available: usage.AvailableBytes},
		{Unit: csi.VolumeUsage_INODES, Total: usage.TotalInodes, Used: usage.UsedInodes, Available: usage.AvailableInodes},
	}}, nil
}

// usage asks the file system, which may be on a device that hangs.
func (n *Node) usage(ctx context.Context, path string) (Usage, error) {
	usage, err := n.patience.wait(ctx, "statfs "+path, statPatience, func() (any, error) { return n.mounter.Usage(path) })
	if err != nil {
		return Usage{}, err
	}
	return usage.(Usage), nil
}

// blockStats gives the size only: what of a block volume is used, nobody but its user knows.
func (n *Node) blockStats(used usedVolume) (*csi.NodeGetVolumeStatsResponse, error) {
	size, err := n.mounter.DeviceBytes(used.device)
	if err != nil {
		return nil, err
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{{Unit: csi.VolumeUsage_BYTES, Total: size}}}, nil
}
