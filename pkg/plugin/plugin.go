package plugin

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/lru"

	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

// Name is the plugin's name in configurations and in messages.
const Name = "VolumeGroupCapacity"

const stateKey fwk.StateKey = Name

// toldPods is how many pods are remembered for not repeating the same event.
const toldPods = 4096

// VolumeGroupCapacity places pods by the free bytes of the nodes' volume groups. There is one per profile; all share
// one ledger.
type VolumeGroupCapacity struct {
	args    VolumeGroupCapacityArgs
	handle  fwk.Handle
	ledger  *capacity.Ledger
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	// told remembers the last event of pods by UID.
	told *lru.Cache
}

var (
	_ fwk.PreFilterPlugin   = &VolumeGroupCapacity{}
	_ fwk.FilterPlugin      = &VolumeGroupCapacity{}
	_ fwk.PreScorePlugin    = &VolumeGroupCapacity{}
	_ fwk.ScorePlugin       = &VolumeGroupCapacity{}
	_ fwk.ReservePlugin     = &VolumeGroupCapacity{}
	_ fwk.EnqueueExtensions = &VolumeGroupCapacity{}
	_ fwk.SignPlugin        = &VolumeGroupCapacity{}
	_ fwk.ScoreExtensions   = &VolumeGroupCapacity{}
	_ capacity.Findings     = &findings{}
	_ capacity.Activator    = fwk.Handle(nil)
	_ runtime.Object        = &VolumeGroupCapacityArgs{}
)

// New makes the plugin for one profile. It neither waits for nor fails without Berth's custom resources: until they
// are there and read, pods with claims of ours wait and all others are scheduled.
// Errors: arguments of another type or out of range, an unusable client configuration.
func New(ctx context.Context, configuration runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args, ok := configuration.(*VolumeGroupCapacityArgs)
	if !ok {
		return nil, fmt.Errorf("want args of type VolumeGroupCapacityArgs, got %T", configuration)
	}
	if err := args.Validate(); err != nil {
		return nil, err
	}
	registerMetrics()
	ledger, err := sharedLedger(ctx, handle)
	if err != nil {
		return nil, err
	}
	return newPlugin(*args, handle, ledger), nil
}

func newPlugin(args VolumeGroupCapacityArgs, handle fwk.Handle, ledger *capacity.Ledger) *VolumeGroupCapacity {
	informers := handle.SharedInformerFactory()
	return &VolumeGroupCapacity{
		args:    args,
		handle:  handle,
		ledger:  ledger,
		claims:  informers.Core().V1().PersistentVolumeClaims().Lister(),
		volumes: informers.Core().V1().PersistentVolumes().Lister(),
		classes: informers.Storage().V1().StorageClasses().Lister(),
		told:    lru.New(toldPods),
	}
}

// Name is the plugin's name.
func (pl *VolumeGroupCapacity) Name() string { return Name }

// state is what the extension points of one scheduling cycle share. It is not changed after PreFilter, but for the
// findings, which have a lock.
type state struct {
	podUID   types.UID
	demand   capacity.Demand
	findings *findings
}

// Clone returns the same state: nothing in it depends on the pods of a node.
func (s *state) Clone() fwk.StateData { return s }

// readState returns the cycle's state, or nil when the pod has no demand or PreFilter did not run.
func readState(cycle fwk.CycleState) *state {
	data, err := cycle.Read(stateKey)
	if err != nil {
		return nil
	}
	s, ok := data.(*state)
	if !ok || len(s.demand.Claims) == 0 {
		return nil
	}
	return s
}

func (pl *VolumeGroupCapacity) staleAfter() time.Duration {
	return time.Duration(pl.args.StalenessSeconds) * time.Second
}
