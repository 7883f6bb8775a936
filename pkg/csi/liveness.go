package csi

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// agentState is what the API server knows of a node's agent.
type agentState struct {
	// dead is true when nothing is to be expected of the agent; reason says why.
	dead     bool
	nodeGone bool
	reason   string
}

// agentState looks at a node and at its agent's Lease, both live.
// Errors: apiFailure; then nothing is known.
func (c *Controller) agentState(ctx context.Context, nodeName string) (agentState, error) {
	_, err := c.kubernetes.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if isGone(err) {
		return agentState{dead: true, nodeGone: true, reason: fmt.Sprintf("node %s is gone", nodeName)}, nil
	}
	if err != nil {
		return agentState{}, apiError(err, "get Node %s", nodeName)
	}
	lease, err := c.kubernetes.CoordinationV1().Leases(c.namespace).Get(ctx, v1alpha1.AgentLeasePrefix+nodeName, metav1.GetOptions{})
	if isGone(err) {
		return agentState{dead: true, reason: fmt.Sprintf("node %s has no agent", nodeName)}, nil
	}
	if err != nil {
		return agentState{}, apiError(err, "get the Lease of the agent of node %s", nodeName)
	}
	if lease.Spec.RenewTime == nil {
		return agentState{dead: true, reason: fmt.Sprintf("the agent of node %s never renewed its Lease", nodeName)}, nil
	}
	if age := time.Since(lease.Spec.RenewTime.Time); age > c.agentStale {
		return agentState{dead: true, reason: fmt.Sprintf("the agent of node %s has been silent for %s", nodeName, age.Round(time.Second))}, nil
	}
	return agentState{}, nil
}

// persistentVolumeExists asks the API server for a PersistentVolume by name.
// Errors: apiFailure; then nothing is known.
func (c *Controller) persistentVolumeExists(ctx context.Context, name string) (bool, error) {
	_, err := c.kubernetes.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	if isGone(err) {
		return false, nil
	}
	return err == nil, apiError(err, "get PersistentVolume %s", name)
}
