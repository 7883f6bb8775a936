package plugin

import (
	"context"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// PreScore skips scoring for pods without a demand and where there is nothing to choose.
func (pl *VolumeGroupCapacity) PreScore(_ context.Context, cycle fwk.CycleState, _ *v1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	if readState(cycle) == nil || len(nodes) < 2 {
		return fwk.NewStatus(fwk.Skip)
	}
	return nil
}

// Score returns the bytes that the pod would leave on the node, with the volumes counted that the node is still making,
// or unknownLeft; NormalizeScore makes 0–100 of them. What is promised to other pods is not left.
func (pl *VolumeGroupCapacity) Score(_ context.Context, cycle fwk.CycleState, _ *v1.Pod, nodeInfo fwk.NodeInfo) (int64, *fwk.Status) {
	s := readState(cycle)
	if s == nil {
		return unknownLeft, nil
	}
	left, ok := pl.ledger.Left(nodeInfo.Node().Name, s.demand)
	if !ok {
		return unknownLeft, nil
	}
	bytes := weightedLeft(left.Classes, pl.args.weight)
	if pl.args.InFlight == Ignore {
		return bytes, nil
	}
	return pl.args.Strategy.spread(bytes, left.BeingMade), nil
}

// ScoreExtensions is the plugin itself, for NormalizeScore.
func (pl *VolumeGroupCapacity) ScoreExtensions() fwk.ScoreExtensions { return pl }

// NormalizeScore turns bytes left into 0–100 by the profile's strategy.
func (pl *VolumeGroupCapacity) NormalizeScore(_ context.Context, _ fwk.CycleState, _ *v1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	left := make([]int64, len(scores))
	for i := range scores {
		left[i] = scores[i].Score
	}
	normalize := mostFree
	if pl.args.Strategy == LeastFree {
		normalize = leastFree
	}
	for i, score := range normalize(left) {
		scores[i].Score = score
	}
	return nil
}
