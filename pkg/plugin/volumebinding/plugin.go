package volumebinding

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	intree "k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"
)

// Name is the plugin's name in configurations. The scheduler's registry does not take an in-tree name twice.
const Name = "BerthVolumeBinding"

// VolumeBinding is the in-tree plugin with its extension points, queueing hints and signature as they are. There is one
// per profile, as in-tree.
type VolumeBinding struct {
	*intree.VolumeBinding
}

var (
	_ fwk.PreFilterPlugin   = &VolumeBinding{}
	_ fwk.FilterPlugin      = &VolumeBinding{}
	_ fwk.PreScorePlugin    = &VolumeBinding{}
	_ fwk.ScorePlugin       = &VolumeBinding{}
	_ fwk.ReservePlugin     = &VolumeBinding{}
	_ fwk.PreBindPlugin     = &VolumeBinding{}
	_ fwk.EnqueueExtensions = &VolumeBinding{}
	// Without a signature no two pods of the profile would count as alike.
	_ fwk.SignPlugin = &VolumeBinding{}
	_ runtime.Object = &BerthVolumeBindingArgs{}
)

// New makes the plugin for one profile.
// Errors: arguments of another type or out of range; a profile before this one has the in-tree plugin.
func New(ctx context.Context, configuration runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args, ok := configuration.(*BerthVolumeBindingArgs)
	if !ok {
		return nil, fmt.Errorf("want args of type BerthVolumeBindingArgs, got %T", configuration)
	}
	inTreeArgs, err := args.inTree()
	if err != nil {
		return nil, err
	}
	if err := leaveOutCapacities(handle.SharedInformerFactory()); err != nil {
		return nil, err
	}
	if err := leaveOutMade(handle.SharedInformerFactory()); err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	wrapped, err := intree.New(ctx, inTreeArgs, view{handle}, features)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	plugin := wrapped.(*intree.VolumeBinding)
	timeout := time.Duration(inTreeArgs.BindTimeoutSeconds) * time.Second
	if plugin.Binder, err = newBinder(plugin.Binder, handle, timeout); err != nil {
		return nil, fmt.Errorf("%s: %w", Name, err)
	}
	return &VolumeBinding{plugin}, nil
}

// Name is the plugin's name.
func (*VolumeBinding) Name() string { return Name }
