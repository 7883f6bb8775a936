package plugin

import (
	"context"
	"strconv"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	storagehelpers "k8s.io/component-helpers/storage/volume"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	tf "k8s.io/kubernetes/pkg/scheduler/testing/framework"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

const gib = int64(1) << 30

// fixture is a framework with the plugin at all its extension points, on a synced ledger of its own.
type fixture struct {
	framework framework.Framework
	plugin    *VolumeGroupCapacity
	ledger    *capacity.Ledger
	recorder  *events.FakeRecorder
	version   int
}

// newFixture makes one from the claims and StorageClasses there are.
func newFixture(t testing.TB, args VolumeGroupCapacityArgs, objects ...runtime.Object) *fixture {
	t.Helper()
	metrics.Register()
	f := &fixture{ledger: capacity.New(time.Now), recorder: events.NewFakeRecorder(16)}
	f.ledger.MarkSynced()
	args.SetDefaults()
	factory := informers.NewSharedInformerFactory(fake.NewSimpleClientset(objects...), 0)
	fh, err := tf.NewFramework(t.Context(), []tf.RegisterPluginFunc{
		tf.RegisterQueueSortPlugin("PrioritySort", newSort),
		tf.RegisterBindPlugin("DefaultBinder", newBinder),
		tf.RegisterPluginAsExtensions(Name, func(_ context.Context, _ runtime.Object, h fwk.Handle) (fwk.Plugin, error) {
			f.plugin = newPlugin(args, h, f.ledger)
			return f.plugin, nil
		}, "PreFilter", "Filter", "PreScore", "Score", "Reserve"),
	}, "berth-scheduler", frameworkruntime.WithInformerFactory(factory), frameworkruntime.WithEventRecorder(f.recorder))
	if err != nil {
		t.Fatal(err)
	}
	f.framework = fh
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	return f
}

// stub is what a framework must have and these tests do not use.
type stub struct{ name string }

func newSort(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return &stub{"PrioritySort"}, nil
}

func newBinder(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return &stub{"DefaultBinder"}, nil
}

func (s *stub) Name() string                                                      { return s.name }
func (s *stub) Less(_, _ fwk.QueuedEntityInfo) bool                               { return false }
func (s *stub) Bind(context.Context, fwk.CycleState, *v1.Pod, string) *fwk.Status { return nil }

// node publishes a node's report: volume group vg-lab with class ssd (default), and a live agent.
func (f *fixture) node(name string, free int64) {
	f.version++
	f.ledger.ObserveReport(&v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: strconv.Itoa(f.version)},
		Status: v1alpha1.NodeStorageStatus{
			ObservedAt: metav1.NowMicro(),
			VolumeGroups: []v1alpha1.VolumeGroupStatus{{
				Name: "vg-lab", Usable: true, UUID: "uuid", Seqno: 1, ExtentSizeBytes: 4 << 20,
				PhysicalVolumes: []v1alpha1.PhysicalVolumeStatus{{Name: "/dev/sdb", FreeBytes: free, Allocatable: true}},
			}},
			DeviceClasses: []v1alpha1.DeviceClassStatus{{Name: "ssd", VolumeGroup: "vg-lab", Default: true}},
		},
	})
	f.ledger.ObserveLease(name, time.Now())
}

func nodeInfo(name string) fwk.NodeInfo {
	info := framework.NewNodeInfo()
	info.SetNode(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return info
}

// cycle runs PreFilter for the pod.
func (f *fixture) cycle(t *testing.T, pod *v1.Pod) (fwk.CycleState, *fwk.PreFilterResult, *fwk.Status) {
	t.Helper()
	state := framework.NewCycleState()
	result, status := f.plugin.PreFilter(t.Context(), state, pod, nil)
	return state, result, status
}

// class is a StorageClass of ours that waits for a pod.
func class(name string, parameters map[string]string) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: v1alpha1.DriverName, Parameters: parameters,
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
}

// pvc is an unbound claim; its UID is its name.
func pvc(name, className, size string) *v1.PersistentVolumeClaim {
	return &v1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), ResourceVersion: "7"},
		Spec: v1.PersistentVolumeClaimSpec{
			StorageClassName: &className,
			Resources:        v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse(size)}},
		},
	}
}

// from gives the claim contents, as the API server completes them.
func from(claim *v1.PersistentVolumeClaim, group, kind, name string) *v1.PersistentVolumeClaim {
	claim.Spec.DataSource = &v1.TypedLocalObjectReference{Kind: kind, Name: name}
	claim.Spec.DataSourceRef = &v1.TypedObjectReference{Kind: kind, Name: name}
	if group != "" {
		claim.Spec.DataSource.APIGroup, claim.Spec.DataSourceRef.APIGroup = &group, &group
	}
	return claim
}

func onNode(claim *v1.PersistentVolumeClaim, node string) *v1.PersistentVolumeClaim {
	claim.Annotations = map[string]string{storagehelpers.AnnSelectedNode: node}
	return claim
}

// podWith is a pod that mounts the named claims.
func podWith(claims ...string) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", UID: "pod"}}
	for _, name := range claims {
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: "v-" + name, VolumeSource: v1.VolumeSource{
			PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}})
	}
	return pod
}
