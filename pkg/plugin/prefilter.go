package plugin

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

// ErrReasonNotSynced is told of pods with claims of ours while the ledger has not read NodeStorages, LogicalVolumes,
// claims and the agents' Leases.
const ErrReasonNotSynced = "waiting for the NodeStorages and LogicalVolumes to be read; are the berth.dev custom resources installed?"

// PreFilter resolves the pod's claims into a demand, and enters the pod among those that freed space wakes. A claim
// with selected-node leaves only that node.
func (pl *VolumeGroupCapacity) PreFilter(ctx context.Context, cycle fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	defer observeDuration("PreFilter", time.Now())
	claims, err := podClaims(pod, pl.claims, pl.classes)
	if err != nil {
		pl.ledger.ForgetPod(pod.UID)
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, err.Error())
	}
	if len(claims) == 0 {
		pl.ledger.ForgetPod(pod.UID)
		// Skip spares Filter and Score but not Reserve, which must find a state.
		cycle.Write(stateKey, &state{})
		return nil, fwk.NewStatus(fwk.Skip)
	}
	s := &state{
		podUID:   pod.UID,
		demand:   capacity.NewDemand(claims, pl.staleAfter()),
		findings: pl.newFindings(claims),
	}
	cycle.Write(stateKey, s)
	// Before the first look at free bytes, so that none that come free during the cycle are missed.
	pl.ledger.Await(pod, s.demand, pl.handle, s.findings)
	if !pl.ledger.Synced() {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, ErrReasonNotSynced)
	}
	klog.FromContext(ctx).V(5).Info("Pod has claims of ours", "pod", klog.KObj(pod), "claims", len(claims))
	return selectedNodes(claims), nil
}

// PreFilterExtensions is nil: pods of a node that come and go free no bytes.
func (pl *VolumeGroupCapacity) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// selectedNodes limits the pod to the nodes that its claims name already; nil when none does.
func selectedNodes(claims []capacity.Claim) *fwk.PreFilterResult {
	var names sets.Set[string]
	for _, claim := range claims {
		if claim.SelectedNode == "" {
			continue
		}
		own := sets.New(claim.SelectedNode)
		if names == nil {
			names = own
		} else {
			names = names.Intersection(own)
		}
	}
	if names == nil {
		return nil
	}
	return &fwk.PreFilterResult{NodeNames: names}
}
