package csi

import (
	"context"
	"fmt"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// Defaults of ControllerOptions.
const (
	// DefaultAgentPatience is how long a new volume may wait for acceptance before node and agent are looked at. An
	// idle agent accepts in milliseconds.
	DefaultAgentPatience = 5 * time.Second
	// DefaultAgentStale is the age of an agent's Lease past which nothing is expected of the agent: three renewals.
	DefaultAgentStale = 180 * time.Second
)

// ControllerOptions is what a Controller is made of.
type ControllerOptions struct {
	Client     client.Interface
	Kubernetes kubernetes.Interface
	// Volumes and Storages are informers of all LogicalVolumes and NodeStorages, not yet started.
	Volumes  cache.SharedIndexInformer
	Storages cache.SharedIndexInformer
	// Namespace is where the agents' Leases are.
	Namespace     string
	AgentPatience time.Duration
	AgentStale    time.Duration
}

// Controller is the CSI Controller service. It turns calls into LogicalVolume objects and waits for their status.
type Controller struct {
	csi.UnimplementedControllerServer
	volumes    client.LogicalVolumes
	kubernetes kubernetes.Interface
	watch      *volumeWatch
	storages   *nodeStorages
	locks      volumeLocks

	namespace     string
	agentPatience time.Duration
	agentStale    time.Duration
}

var _ csi.ControllerServer = &Controller{}

// NewController makes the service; the caller then starts the informers.
func NewController(options ControllerOptions) (*Controller, error) {
	watch, err := newVolumeWatch(options.Volumes)
	if err != nil {
		return nil, err
	}
	storages, err := newNodeStorages(options.Storages)
	if err != nil {
		return nil, err
	}
	return &Controller{
		volumes:       options.Client.LogicalVolumes(),
		kubernetes:    options.Kubernetes,
		watch:         watch,
		storages:      storages,
		namespace:     options.Namespace,
		agentPatience: options.AgentPatience,
		agentStale:    options.AgentStale,
	}, nil
}

// Ready says that the caches are filled.
func (c *Controller) Ready() bool {
	return c.watch.informer.HasSynced() && c.storages.informer.HasSynced()
}

// checkReady refuses work that an empty cache would answer wrongly.
// Errors: errNotReady.
func (c *Controller) checkReady() error {
	if !c.Ready() {
		return fmt.Errorf("%w: the caches of LogicalVolumes and NodeStorages are being filled", errNotReady)
	}
	return nil
}

// ControllerGetCapabilities implements csi.ControllerServer.
func (c *Controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	response := &csi.ControllerGetCapabilitiesResponse{}
	for _, t := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_LIST_VOLUMES,
		csi.ControllerServiceCapability_RPC_GET_CAPACITY,
		csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
		csi.ControllerServiceCapability_RPC_MODIFY_VOLUME,
		csi.ControllerServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	} {
		response.Capabilities = append(response.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: t}},
		})
	}
	return response, nil
}

// ValidateVolumeCapabilities implements csi.ControllerServer: a volume that is there can be used as a block device or
// through its file system, as it was made.
func (c *Controller) ValidateVolumeCapabilities(ctx context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if err := require(field{"volume_id", request.GetVolumeId()}); err != nil {
		return nil, err
	}
	if len(request.GetVolumeCapabilities()) == 0 {
		return nil, fmt.Errorf("volume_capabilities %w", errMissing)
	}
	lv, err := c.findVolume(ctx, request.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if err := supports(lv, request); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext:      request.GetVolumeContext(),
		VolumeCapabilities: request.GetVolumeCapabilities(),
		Parameters:         request.GetParameters(),
	}}, nil
}

// supports says why a volume cannot be used in the way asked for; nil if it can.
func supports(lv *v1alpha1.LogicalVolume, request *csi.ValidateVolumeCapabilitiesRequest) error {
	if _, err := lvm.ParseMutableParameters(request.GetMutableParameters()); err != nil {
		return err
	}
	parameters, err := lvm.ParseParameters(request.GetParameters())
	if err != nil {
		return err
	}
	if parameters.DeviceClass != "" && parameters.DeviceClass != lv.Spec.DeviceClass {
		return fmt.Errorf("the volume's device class is %q, not %q", lv.Spec.DeviceClass, parameters.DeviceClass)
	}
	used, err := accessOf(request.GetVolumeCapabilities())
	if err != nil {
		return err
	}
	return checkAccess(lv.Spec.FSType, used)
}

// checkAccess compares how a volume was made with how it is to be used. fsType is empty for a block volume.
func checkAccess(fsType string, used access) error {
	switch {
	case used.block && fsType != "":
		return fmt.Errorf("the volume holds a file system (%s), it is not a block volume", fsType)
	case !used.block && fsType == "":
		return fmt.Errorf("the volume is a block volume, it holds no file system of ours")
	case used.fsType != "" && used.fsType != fsType:
		return fmt.Errorf("the volume's file system is %s, not %s", fsType, used.fsType)
	}
	return nil
}

// findVolume finds a volume, and findSnapshot a snapshot; neither takes the one for the other.
// Errors: lvm.ErrNotFound, apiFailure.
func (c *Controller) findVolume(ctx context.Context, volumeID string) (*v1alpha1.LogicalVolume, error) {
	lv, err := c.find(ctx, volumeID)
	if err == nil && lv.IsSnapshot() {
		return nil, fmt.Errorf("volume %s: a snapshot has that name: %w", volumeID, lvm.ErrNotFound)
	}
	return lv, err
}

func (c *Controller) findSnapshot(ctx context.Context, snapshotID string) (*v1alpha1.LogicalVolume, error) {
	lv, err := c.find(ctx, snapshotID)
	if err == nil && !lv.IsSnapshot() {
		return nil, fmt.Errorf("snapshot %s: a volume has that name: %w", snapshotID, lvm.ErrNotFound)
	}
	return lv, err
}

// find reads an object from the API server, not from the cache: an answer that it is not there must be true.
// Errors: lvm.ErrNotFound, apiFailure.
func (c *Controller) find(ctx context.Context, volumeID string) (*v1alpha1.LogicalVolume, error) {
	if err := checkVolumeID(volumeID); err != nil {
		return nil, err
	}
	lv, err := c.volumes.Get(ctx, volumeID, metav1.GetOptions{})
	if isGone(err) {
		return nil, fmt.Errorf("volume %s: %w", volumeID, lvm.ErrNotFound)
	}
	return lv, apiError(err, "get LogicalVolume %s", volumeID)
}

// isGone says that the API server knows of no such object. A server that does not know the resource at all, because
// the CRDs are missing, answers 404 as well, and that says nothing of the object.
func isGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// beforeDeadline ends a little before the caller does, so that the caller is told what is being waited for.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	margin := min(time.Second, time.Until(deadline)/10)
	return context.WithDeadline(ctx, deadline.Add(-margin))
}
