package plugin

import (
	"context"
	"fmt"
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
// with selected-node leaves only that node, and one that is made from a snapshot or another volume only that one's.
func (pl *VolumeGroupCapacity) PreFilter(ctx context.Context, cycle fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	defer observeDuration("PreFilter", time.Now())
	claims, err := pl.podClaims(pod)
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
	nodes, err := pl.possibleNodes(claims)
	if err != nil {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, err.Error())
	}
	klog.FromContext(ctx).V(5).Info("Pod has claims of ours", "pod", klog.KObj(pod), "claims", len(claims))
	return nodes, nil
}

// PreFilterExtensions is nil: pods of a node that come and go free no bytes.
func (pl *VolumeGroupCapacity) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// possibleNodes limits the pod to the nodes that its claims name already and to those of their sources; nil when there is
// neither.
// Errors: a source that no node is known to hold; the ledger wakes the pod when one is.
func (pl *VolumeGroupCapacity) possibleNodes(claims []capacity.Claim) (*fwk.PreFilterResult, error) {
	var names sets.Set[string]
	limit := func(to ...string) {
		if own := sets.New(to...); names == nil {
			names = own
		} else {
			names = names.Intersection(own)
		}
	}
	for _, claim := range claims {
		if claim.SelectedNode != "" {
			limit(claim.SelectedNode)
		}
		if claim.Origin == (capacity.Origin{}) {
			continue
		}
		holders := pl.ledger.OriginNodes(claim.Origin)
		if len(holders) == 0 {
			return nil, fmt.Errorf("persistentvolumeclaim %q: no node is known to hold %s", claim.Name, claim.Origin)
		}
		limit(holders...)
	}
	if names == nil {
		return nil, nil
	}
	return &fwk.PreFilterResult{NodeNames: names}, nil
}
