package csi

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// GetCapacity implements csi.ControllerServer: the bytes that new volumes of a device class can take on one node, or
// on all nodes together when the request names none. csi-provisioner makes CSIStorageCapacity objects of it for the
// stock scheduler; ours reads the reports themselves.
//
// A node that is not known, does not serve the class or cannot use its volume group has capacity 0: the answer is
// about where a volume can be made, and there it cannot.
func (c *Controller) GetCapacity(_ context.Context, request *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	parameters, err := lvm.ParseParameters(request.GetParameters())
	if err != nil {
		return nil, err
	}
	if len(request.GetVolumeCapabilities()) > 0 {
		if _, err := accessOf(request.GetVolumeCapabilities()); err != nil {
			return nil, err
		}
	}
	if err := c.checkReady(); err != nil {
		return nil, err
	}
	reports := c.storages.all()
	if request.GetAccessibleTopology() != nil {
		reports = nil
		if report, ok := c.storages.at(request.GetAccessibleTopology().GetSegments()[v1alpha1.TopologyKey]); ok {
			reports = append(reports, report)
		}
	}
	var total, largest int64
	for _, report := range reports {
		space, layout, ok := c.spaceFor(report, parameters.DeviceClass)
		if !ok {
			continue
		}
		total = lvm.SaturatingAdd(total, space.UsableBytes(layout))
		largest = max(largest, space.MaximumVolumeBytes(layout))
	}
	return &csi.GetCapacityResponse{AvailableCapacity: total, MaximumVolumeSize: wrapperspb.Int64(largest)}, nil
}

// spaceFor is what a node offers to new volumes of a device class, and in which layout: its report less what the report
// does not show yet. It is false when the class is not served there, its layout is not known here, or the volume group
// is not usable.
func (c *Controller) spaceFor(report *v1alpha1.NodeStorage, deviceClass string) (*lvm.Space, lvm.Layout, bool) {
	class, ok := classOf(report, deviceClass)
	if !ok || class.VolumeLayout().Validate() != nil {
		return nil, lvm.Layout{}, false
	}
	group, ok := groupOf(report, class.VolumeGroup)
	if !ok || !group.Usable || group.ExtentSizeBytes <= 0 {
		return nil, lvm.Layout{}, false
	}
	var promised []lvm.Request
	for _, lv := range c.watch.onNode(report.Name) {
		if lv.Status.Phase != v1alpha1.PhaseFailed && groupNameOf(report, lv) == group.Name {
			promised = append(promised, requestOf(report, group, lv))
		}
	}
	return group.Space().Promise(promised), class.VolumeLayout(), true
}

// requestOf is what a volume takes, or is about to take, of a volume group beyond what the report counts as used. A
// volume is included at the size that the report lists it with, or at its allocated size when the report's seqno is not
// older than the volume's.
func requestOf(report *v1alpha1.NodeStorage, group *v1alpha1.VolumeGroupStatus, lv *v1alpha1.LogicalVolume) lvm.Request {
	request := lvm.Request{IncludedBytes: includedBytes(group, lv)}
	// The layout of a class that is not served any more is not known; what such a volume grows by is linear at least.
	if class, ok := classOf(report, lv.Spec.DeviceClass); ok {
		if request.Layout = class.VolumeLayout(); lv.IsSnapshot() {
			request.Layout = request.Layout.Snapshot()
		}
	}
	request.SizeBytes = max(lv.Spec.SizeBytes, lv.Status.AllocatedBytes-request.Layout.OverheadBytes)
	return request
}

func includedBytes(group *v1alpha1.VolumeGroupStatus, lv *v1alpha1.LogicalVolume) int64 {
	for i := range group.Recent {
		if group.Recent[i].Name == lv.Name {
			return group.Recent[i].SizeBytes
		}
	}
	at := lv.Status.VolumeGroup
	if at.UUID != "" && at.UUID == group.UUID && at.Seqno <= group.Seqno {
		return lv.Status.AllocatedBytes
	}
	return 0
}

// groupNameOf is the volume group that a volume is in, or will be in by its device class.
func groupNameOf(report *v1alpha1.NodeStorage, lv *v1alpha1.LogicalVolume) string {
	if lv.Status.VolumeGroup.Name != "" {
		return lv.Status.VolumeGroup.Name
	}
	if class, ok := classOf(report, lv.Spec.DeviceClass); ok {
		return class.VolumeGroup
	}
	return ""
}
