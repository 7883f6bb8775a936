package plugin

import (
	"context"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

// Reserve asks the ledger once more, under its lock, and promises all of the pod's claims or none. Since Filter,
// another node's pods, another profile or a report may have taken the bytes.
func (pl *VolumeGroupCapacity) Reserve(ctx context.Context, cycle fwk.CycleState, pod *v1.Pod, nodeName string) *fwk.Status {
	s := readState(cycle)
	if s == nil {
		return nil
	}
	defer observeDuration("Reserve", time.Now())
	reserve := pl.ledger.Reserve
	if cycle.IsPodGroupSchedulingCycle() {
		// The cycle only tries placements of a whole group, and reverts each before it binds.
		reserve = pl.ledger.Simulate
	}
	verdict := reserve(nodeName, pod.UID, pl.asOfNow(s.demand))
	logger := klog.FromContext(ctx)
	if verdict.Reason == capacity.Fits {
		logger.V(4).Info("Reserved", "pod", klog.KObj(pod), "node", nodeName, "claims", len(s.demand.Claims))
		return nil
	}
	logger.V(4).Info("Reservation refused", "pod", klog.KObj(pod), "node", nodeName, "reason", errReasons[verdict.Reason],
		"volumeGroup", verdict.VolumeGroup, "wanted", formatBytes(verdict.WantedBytes), "free", formatBytes(verdict.FreeBytes))
	countRejection(verdict.Reason)
	return fwk.NewStatus(fwk.Unschedulable, errReasons[verdict.Reason])
}

// Unreserve takes the promise back. It may come without Reserve, and twice.
func (pl *VolumeGroupCapacity) Unreserve(_ context.Context, cycle fwk.CycleState, pod *v1.Pod, nodeName string) {
	s := readState(cycle)
	if s == nil {
		return
	}
	pl.ledger.Unreserve(nodeName, pod.UID, s.demand)
}

// asOfNow is the demand with its claims as they are known now. VolumeBinding may have read a claim after our PreFilter
// did, and writes selected-node with what it read: the ledger must not take an event in between for one that tells about
// that write, and a claim that pointed to a volume being made here may point there no more, that volume being refused.
func (pl *VolumeGroupCapacity) asOfNow(demand capacity.Demand) capacity.Demand {
	demand.Claims = slices.Clone(demand.Claims)
	for i := range demand.Claims {
		claim := &demand.Claims[i]
		if pvc, err := pl.claims.PersistentVolumeClaims(claim.Namespace).Get(claim.Name); err == nil && pvc.UID == claim.UID {
			now := claimIdentity(pvc)
			claim.ResourceVersion, claim.SelectedNode = now.ResourceVersion, now.SelectedNode
		}
	}
	return demand
}
