package plugin

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

// Why a node was filtered out. The scheduler counts nodes by these texts, so they carry no numbers and no names; those
// are in the pod's event and in the log.
const (
	ErrReasonNoReport              = "node(s) had no report of their volume groups"
	ErrReasonStaleAgent            = "node(s) had a storage agent that stopped reporting"
	ErrReasonClockOff              = "node(s) had a clock too far off to trust their report"
	ErrReasonClassNotServed        = "node(s) did not serve the device class"
	ErrReasonLayoutUnknown         = "node(s) served the device class in a layout unknown to this scheduler"
	ErrReasonVolumeGroupUnusable   = "node(s) had an unusable volume group"
	ErrReasonRefused               = "node(s) refused the volume and have not reported since"
	ErrReasonTooFewBytes           = "node(s) had too few free bytes in volume group"
	ErrReasonTooFewPhysicalVolumes = "node(s) had too few physical volumes with enough free bytes"
)

// errReasons maps verdicts to reasons, reasonLabels to the metric's label.
var (
	errReasons = map[capacity.Reason]string{
		capacity.NoReport:              ErrReasonNoReport,
		capacity.StaleAgent:            ErrReasonStaleAgent,
		capacity.ClockOff:              ErrReasonClockOff,
		capacity.ClassNotServed:        ErrReasonClassNotServed,
		capacity.LayoutUnknown:         ErrReasonLayoutUnknown,
		capacity.VolumeGroupUnusable:   ErrReasonVolumeGroupUnusable,
		capacity.Refused:               ErrReasonRefused,
		capacity.TooFewBytes:           ErrReasonTooFewBytes,
		capacity.TooFewPhysicalVolumes: ErrReasonTooFewPhysicalVolumes,
	}
	reasonLabels = map[capacity.Reason]string{
		capacity.NoReport:              "no_report",
		capacity.StaleAgent:            "stale_agent",
		capacity.ClockOff:              "clock_off",
		capacity.ClassNotServed:        "class_not_served",
		capacity.LayoutUnknown:         "layout_unknown",
		capacity.VolumeGroupUnusable:   "volume_group_unusable",
		capacity.Refused:               "refused",
		capacity.TooFewBytes:           "too_few_bytes",
		capacity.TooFewPhysicalVolumes: "too_few_physical_volumes",
	}
)

// Filter drops the nodes where the pod's claims do not all fit. It reads memory only, and is not timed here: for thousands
// of nodes that would cost as much as the answers. The scheduler samples all plugins' times itself.
func (pl *VolumeGroupCapacity) Filter(ctx context.Context, cycle fwk.CycleState, pod *v1.Pod, nodeInfo fwk.NodeInfo) *fwk.Status {
	s := readState(cycle)
	if s == nil {
		return nil
	}
	nodeName := nodeInfo.Node().Name
	verdict := pl.ledger.Evaluate(nodeName, s.demand)
	s.findings.note(nodeName, verdict)
	if verdict.Reason == capacity.Fits {
		return nil
	}
	if logger := klog.FromContext(ctx).V(10); logger.Enabled() {
		logger.Info("Node does not fit the pod's volumes", "pod", klog.KObj(pod), "node", nodeName,
			"reason", errReasons[verdict.Reason], "deviceClass", verdict.DeviceClass, "volumeGroup", verdict.VolumeGroup,
			"wanted", formatBytes(verdict.WantedBytes), "free", formatBytes(verdict.FreeBytes))
	}
	countRejection(verdict.Reason)
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, errReasons[verdict.Reason])
}
