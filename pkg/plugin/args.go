package plugin

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	configv1 "k8s.io/kube-scheduler/config/v1"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedscheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
)

// Strategy names how nodes are ranked.
type Strategy string

const (
	// MostFree prefers the node with the most bytes left.
	MostFree Strategy = "MostFree"
	// LeastFree prefers the node with the fewest bytes left.
	LeastFree Strategy = "LeastFree"
)

// InFlight names how the volumes that a node is still making count in its rank.
type InFlight string

const (
	// Spread shares a burst out over the nodes, in proportion to their bytes left.
	Spread InFlight = "Spread"
	// Ignore ranks by bytes alone.
	Ignore InFlight = "Ignore"
)

// Bounds and defaults of the arguments.
const (
	defaultWeight = 1
	maxWeight     = 100

	defaultStalenessSeconds = 180
	// minStalenessSeconds is just above the period in which agents renew their Lease.
	minStalenessSeconds = 61
)

// VolumeGroupCapacityArgs are the plugin's arguments in a KubeSchedulerConfiguration. The same type serves as the
// internal and the v1 version: they do not differ, and the scheduler's scheme keeps them apart by group version.
type VolumeGroupCapacityArgs struct {
	metav1.TypeMeta `json:",inline"`

	// Strategy is MostFree (default) or LeastFree.
	Strategy Strategy `json:"strategy,omitempty"`
	// InFlight is Spread (default) or Ignore.
	InFlight InFlight `json:"inFlight,omitempty"`
	// ClassWeights weigh the bytes left behind a device class where a pod has claims of several; 1–100, 1 for classes
	// that are not listed. They do nothing for pods with one class.
	ClassWeights map[string]int64 `json:"classWeights,omitempty"`
	// StalenessSeconds is the age of an agent's last sign of life beyond which nothing new is placed on its node. 180
	// by default; at least 61, since agents renew every 60 s.
	StalenessSeconds int32 `json:"stalenessSeconds,omitempty"`
}

// DeepCopyObject copies the arguments.
func (a *VolumeGroupCapacityArgs) DeepCopyObject() runtime.Object {
	out := *a
	out.ClassWeights = maps.Clone(a.ClassWeights)
	return &out
}

// SetDefaults fills in what is not given.
func (a *VolumeGroupCapacityArgs) SetDefaults() {
	if a.Strategy == "" {
		a.Strategy = MostFree
	}
	if a.InFlight == "" {
		a.InFlight = Spread
	}
	if a.StalenessSeconds == 0 {
		a.StalenessSeconds = defaultStalenessSeconds
	}
}

// Validate names the first argument that is out of range.
func (a *VolumeGroupCapacityArgs) Validate() error {
	if a.Strategy != MostFree && a.Strategy != LeastFree {
		return fmt.Errorf("%s args: strategy is %q; allowed are %s, %s", Name, a.Strategy, MostFree, LeastFree)
	}
	if a.InFlight != Spread && a.InFlight != Ignore {
		return fmt.Errorf("%s args: inFlight is %q; allowed are %s, %s", Name, a.InFlight, Spread, Ignore)
	}
	if a.StalenessSeconds < minStalenessSeconds {
		return fmt.Errorf("%s args: stalenessSeconds is %d; the least is %d", Name, a.StalenessSeconds, minStalenessSeconds)
	}
	for _, class := range slices.Sorted(maps.Keys(a.ClassWeights)) {
		if weight := a.ClassWeights[class]; class == "" || weight < 1 || weight > maxWeight {
			return fmt.Errorf("%s args: classWeights[%q] is %d; want a class name and 1–%d", Name, class, weight, maxWeight)
		}
	}
	return nil
}

// weight is the class's weight.
func (a *VolumeGroupCapacityArgs) weight(class string) int64 {
	if weight, ok := a.ClassWeights[class]; ok {
		return weight
	}
	return defaultWeight
}

func addInternalTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(schedconfig.SchemeGroupVersion, &VolumeGroupCapacityArgs{})
	return nil
}

func addV1Types(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(configv1.SchemeGroupVersion, &VolumeGroupCapacityArgs{})
	scheme.AddTypeDefaultingFunc(&VolumeGroupCapacityArgs{}, func(object any) {
		object.(*VolumeGroupCapacityArgs).SetDefaults()
	})
	return nil
}

// The scheduler finds a plugin's arguments by the name "<plugin>Args" in its schemes, which it builds from these
// builders; only there are they decoded strictly and defaulted. One of the schemes is built before this package is
// initialised, so the types are added to it as well.
func init() {
	schedconfig.SchemeBuilder.Register(addInternalTypes)
	configv1.SchemeBuilder.Register(addV1Types)
	utilruntime.Must(addInternalTypes(schedscheme.Scheme))
	utilruntime.Must(addV1Types(schedscheme.Scheme))
}
