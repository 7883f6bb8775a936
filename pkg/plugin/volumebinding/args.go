package volumebinding

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	configv1 "k8s.io/kube-scheduler/config/v1"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedscheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	schedconfigv1 "k8s.io/kubernetes/pkg/scheduler/apis/config/v1"
)

// BerthVolumeBindingArgs are VolumeBindingArgs, with their defaults and their validation, under the name that this
// plugin's arguments must have. One type serves as the internal and the v1 version.
type BerthVolumeBindingArgs struct {
	configv1.VolumeBindingArgs `json:",inline"`
}

// DeepCopyObject copies the arguments.
func (a *BerthVolumeBindingArgs) DeepCopyObject() runtime.Object {
	return &BerthVolumeBindingArgs{VolumeBindingArgs: *a.DeepCopy()}
}

// SetDefaults fills in what is not given.
func (a *BerthVolumeBindingArgs) SetDefaults() {
	schedconfigv1.SetDefaults_VolumeBindingArgs(&a.VolumeBindingArgs)
}

// inTree is what the in-tree plugin takes. Defaults must be set.
func (a *BerthVolumeBindingArgs) inTree() (*schedconfig.VolumeBindingArgs, error) {
	out := &schedconfig.VolumeBindingArgs{}
	if err := schedconfigv1.Convert_v1_VolumeBindingArgs_To_config_VolumeBindingArgs(&a.VolumeBindingArgs, out, nil); err != nil {
		return nil, fmt.Errorf("%s args: %w", Name, err)
	}
	return out, nil
}

func addInternalTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(schedconfig.SchemeGroupVersion, &BerthVolumeBindingArgs{})
	return nil
}

func addV1Types(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(configv1.SchemeGroupVersion, &BerthVolumeBindingArgs{})
	scheme.AddTypeDefaultingFunc(&BerthVolumeBindingArgs{}, func(object any) {
		object.(*BerthVolumeBindingArgs).SetDefaults()
	})
	return nil
}

// As for VolumeGroupCapacityArgs (package plugin): one of the scheduler's schemes is built before this package is
// initialised, so the types are added to it as well.
func init() {
	schedconfig.SchemeBuilder.Register(addInternalTypes)
	configv1.SchemeBuilder.Register(addV1Types)
	utilruntime.Must(addInternalTypes(schedscheme.Scheme))
	utilruntime.Must(addV1Types(schedscheme.Scheme))
}
