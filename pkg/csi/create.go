package csi

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// Keys of the volume context, which csi-provisioner copies into the PersistentVolume. From the last two the scheduler
// knows whether a report includes the volume.
const (
	contextDeviceClass = "deviceClass"
	contextVolumeGroup = "volumeGroup"
	contextVGUUID      = "vgUUID"
	contextVGSeqno     = "vgSeqno"
)

// CreateVolume implements csi.ControllerServer: it creates a LogicalVolume and waits until its agent has made it or
// refused. An object that an earlier attempt left refused is removed first and never answers this one.
func (c *Controller) CreateVolume(ctx context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	o, err := parseOrder(request)
	if err != nil {
		return nil, err
	}
	if err := c.checkReady(); err != nil {
		return nil, err
	}
	unlock, err := c.locks.lock(o.volumeID)
	if err != nil {
		return nil, err
	}
	defer unlock()
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "volumeID", o.volumeID)
	ctx, cancel := beforeDeadline(klog.NewContext(ctx, logger))
	defer cancel()
	follower := c.watch.follow(o.volumeID)
	defer follower.stop()

	lv, err := c.ensure(ctx, o)
	if err != nil {
		return nil, err
	}
	named := func(ctx context.Context) (bool, error) { return c.persistentVolumeExists(ctx, o.csiName) }
	lv, err = c.awaitReady(ctx, follower, lv, named)
	if err != nil {
		return nil, err
	}
	return created(lv), nil
}

func created(lv *v1alpha1.LogicalVolume) *csi.CreateVolumeResponse {
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId:      lv.Name,
		CapacityBytes: lv.UsableBytes(),
		ContentSource: contentSource(sourceOf(lv)),
		VolumeContext: map[string]string{
			contextDeviceClass: lv.Spec.DeviceClass,
			contextVolumeGroup: lv.Status.VolumeGroup.Name,
			contextVGUUID:      lv.Status.VolumeGroup.UUID,
			contextVGSeqno:     strconv.FormatInt(lv.Status.VolumeGroup.Seqno, 10),
		},
		AccessibleTopology: []*csi.Topology{topologyOf(lv.Spec.NodeName)},
	}}
}

func topologyOf(nodeName string) *csi.Topology {
	return &csi.Topology{Segments: map[string]string{v1alpha1.TopologyKey: lvm.TopologyValue(nodeName)}}
}

// ensure returns the LogicalVolume for an order, made now or found compatible.
// Errors: those of sourceFor, place and reuse, errPending, apiFailure.
func (c *Controller) ensure(ctx context.Context, o *order) (*v1alpha1.LogicalVolume, error) {
	if _, ok := c.watch.cached(o.volumeID); !ok {
		lv, err := c.create(ctx, o)
		if !apierrors.IsAlreadyExists(err) {
			return lv, err
		}
	}
	lv, err := c.findVolume(ctx, o.volumeID)
	if errors.Is(err, lvm.ErrNotFound) {
		return c.create(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	reuse, err := c.reuse(ctx, o, lv)
	if err != nil || reuse {
		return lv, err
	}
	if err := c.withdraw(ctx, lv); err != nil {
		return nil, err
	}
	return c.create(ctx, o)
}

func (c *Controller) create(ctx context.Context, o *order) (*v1alpha1.LogicalVolume, error) {
	source, err := c.sourceFor(ctx, o)
	if err != nil {
		return nil, err
	}
	report, class, err := c.place(o, source)
	if err != nil {
		return nil, err
	}
	var extentBytes int64
	if group, ok := groupOf(report, class.VolumeGroup); ok {
		extentBytes = group.ExtentSizeBytes
	}
	if err := o.fitSource(source, class, extentBytes); err != nil {
		return nil, err
	}
	size, err := o.fitLimit(extentBytes)
	if err != nil {
		return nil, err
	}
	lv, err := c.volumes.Create(ctx, o.object(report.Name, class, size), metav1.CreateOptions{})
	if err != nil {
		return nil, apiError(err, "create LogicalVolume %s", o.volumeID)
	}
	klog.FromContext(ctx).V(2).Info("Created LogicalVolume", "node", report.Name, "deviceClass", class.Name, "sizeBytes", size)
	return lv, nil
}

// reuse says whether the object found is the one ordered (true), or is to make room for a new one (false).
// Errors: errIncompatible, errPending (being removed; ask again).
func (c *Controller) reuse(ctx context.Context, o *order, lv *v1alpha1.LogicalVolume) (bool, error) {
	if lv.Status.Phase == v1alpha1.PhaseFailed {
		return false, nil
	}
	if lv.Spec.State == v1alpha1.StateAbsent {
		return false, fmt.Errorf("volume %s is being removed: %w", lv.Name, errPending)
	}
	if err := o.checkSame(lv); err != nil {
		return false, err
	}
	if o.allows(lv.Spec.NodeName) {
		return true, nil
	}
	if lv.Status.Phase == v1alpha1.PhasePending {
		return false, nil
	}
	return false, c.relocate(ctx, o, lv)
}

// relocate removes a volume that an earlier attempt made on a node where the pod no longer goes. Only one that was
// never staged and that no PersistentVolume names is removed: nobody has seen it.
// Errors: errIncompatible when it must stay, errPending when its removal is ordered.
func (c *Controller) relocate(ctx context.Context, o *order, lv *v1alpha1.LogicalVolume) error {
	stays := fmt.Errorf("volume %s %w is on node %s, which is not asked for", lv.Name, errIncompatible, lv.Spec.NodeName)
	if lv.Status.Staged {
		return stays
	}
	named, err := c.persistentVolumeExists(ctx, o.csiName)
	if err != nil {
		return err
	}
	if named {
		return stays
	}
	if err := orderAbsent(ctx, c.volumes, lv); err != nil {
		return err
	}
	return fmt.Errorf("volume %s is being removed from node %s: %w", lv.Name, lv.Spec.NodeName, errPending)
}

// awaitReady waits until the agent has made the volume or snapshot. It may withdraw the object until the agent accepts
// it. named says whether an object of the orchestrator's names it; it is asked of the API server.
// Errors: the agent's refusal with its code, errNoNode (node or agent gone), errPending, context errors.
func (c *Controller) awaitReady(ctx context.Context, follower *follower, lv *v1alpha1.LogicalVolume, named func(context.Context) (bool, error)) (*v1alpha1.LogicalVolume, error) {
	patience := time.NewTicker(c.agentPatience)
	defer patience.Stop()
	for {
		last, gone := follower.last(lv)
		switch {
		case gone:
			return nil, fmt.Errorf("%s: its LogicalVolume was deleted while it was being made: %w", noun(lv), errPending)
		case last.Spec.State == v1alpha1.StateAbsent:
			return nil, fmt.Errorf("%s was ordered away while it was being made: %w", noun(lv), errPending)
		case last.Status.Phase == v1alpha1.PhaseReady:
			return last, nil
		case last.Status.Phase == v1alpha1.PhaseFailed:
			return nil, c.refused(ctx, last)
		}
		select {
		case <-ctx.Done():
			return nil, waitedInVain(ctx, last, "is not made yet")
		case <-follower.changed:
		case <-patience.C:
			// Not a poll of the volume: its agent is looked at while it leaves the volume lying.
			if err := c.giveUp(ctx, last, named); err != nil {
				return nil, err
			}
		}
	}
}

// refused removes an object that its agent refused for good and returns the agent's answer. The object goes first:
// an answer that lets the claim go elsewhere must not leave an order behind.
func (c *Controller) refused(ctx context.Context, lv *v1alpha1.LogicalVolume) error {
	if err := c.withdraw(ctx, lv); err != nil {
		return err
	}
	return status.Error(parseCode(lv.Status.Code), lv.Status.Message)
}

// giveUp withdraws a volume that no agent will make: its node is gone, or its agent has fallen silent before it
// accepted. Once accepted a volume is the agent's, unless the node is gone and nothing names it.
// Errors: errNoNode when it was withdrawn; nil means go on waiting.
func (c *Controller) giveUp(ctx context.Context, lv *v1alpha1.LogicalVolume, named func(context.Context) (bool, error)) error {
	logger := klog.FromContext(ctx)
	state, err := c.agentState(ctx, lv.Spec.NodeName)
	if err == nil && state.nodeGone && lv.Status.Phase != v1alpha1.PhasePending {
		var isNamed bool
		isNamed, err = named(ctx)
		state.dead = state.dead && !isNamed
	}
	if err != nil {
		// Nothing is known; the next tick asks again.
		logger.V(2).Info("Cannot tell whether the agent is alive", "node", lv.Spec.NodeName, "err", err)
		return nil
	}
	if !state.dead || lv.Status.Phase != v1alpha1.PhasePending && !state.nodeGone {
		return nil
	}
	if err := c.withdraw(ctx, lv); errors.Is(err, errChanged) {
		return nil
	} else if err != nil {
		return err
	}
	return fmt.Errorf("%s: %s: %w", noun(lv), state.reason, errNoNode)
}

// waitedInVain says what a call waited for when its time was up.
func waitedInVain(ctx context.Context, lv *v1alpha1.LogicalVolume, what string) error {
	text := noun(lv) + " " + what
	switch {
	case lv.Status.Message != "":
		text += fmt.Sprintf("; node %s says: %s: %s", lv.Spec.NodeName, lv.Status.Code, lv.Status.Message)
	case lv.Status.Phase == v1alpha1.PhasePending:
		text += fmt.Sprintf("; the agent of node %s has not taken it", lv.Spec.NodeName)
	}
	return fmt.Errorf("%s: %w", text, ctx.Err())
}

// noun names a volume or snapshot in messages.
func noun(lv *v1alpha1.LogicalVolume) string {
	if lv.IsSnapshot() {
		return "snapshot " + lv.Name
	}
	return "volume " + lv.Name
}
