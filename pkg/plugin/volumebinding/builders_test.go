package volumebinding

import (
	"strconv"
	"sync/atomic"
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	storagehelpers "k8s.io/component-helpers/storage/volume"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const nodeName = "node"

// handle is as much of a framework as the plugin needs to be made.
type handle struct {
	fwk.Handle
	client  *fake.Clientset
	factory informers.SharedInformerFactory
}

func newHandle(objects ...runtime.Object) *handle {
	client := fake.NewClientset(objects...)
	var version atomic.Int64
	version.Store(1)
	// Written claims have new versions, as in life.
	client.PrependReactor("update", "persistentvolumeclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
		claim := action.(clienttesting.UpdateAction).GetObject().(*v1.PersistentVolumeClaim)
		claim.ResourceVersion = strconv.FormatInt(version.Add(1), 10)
		return true, claim, client.Tracker().Update(action.GetResource(), claim, claim.Namespace)
	})
	return &handle{client: client, factory: informers.NewSharedInformerFactory(client, 0)}
}

func (h *handle) SharedInformerFactory() informers.SharedInformerFactory { return h.factory }
func (h *handle) ClientSet() kubernetes.Interface                        { return h.client }

// sync starts the informers and waits for them.
func (h *handle) sync(t *testing.T) {
	t.Helper()
	h.factory.Start(t.Context().Done())
	h.factory.WaitForCacheSync(t.Context().Done())
}

func defaultArgs() *BerthVolumeBindingArgs {
	args := &BerthVolumeBindingArgs{}
	args.SetDefaults()
	return args
}

func node(labels map[string]string) *v1.Node {
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName, ResourceVersion: "1", Labels: labels}}
}

// class is a StorageClass that waits for a pod.
func class(name, provisioner string) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner,
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
}

func csiDriver(name string) *storagev1.CSIDriver {
	return &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.CSIDriverSpec{StorageCapacity: ptr.To(true)}}
}

// claim is an unbound claim of 1 GiB.
func claim(name, class string) *v1.PersistentVolumeClaim {
	return &v1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, ResourceVersion: "1"},
		Spec: v1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

// podWith is a pod that mounts the claims, as assumed on the node.
func podWith(claims ...string) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", ResourceVersion: "1"},
		Spec:       v1.PodSpec{NodeName: nodeName},
	}
	for _, name := range claims {
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: name, VolumeSource: v1.VolumeSource{
			PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}})
	}
	return pod
}

// volume is what a provisioner makes for the claim on a node.
func volume(claim, node string) *v1.PersistentVolume {
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv-" + claim, ResourceVersion: "1"},
		Spec: v1.PersistentVolumeSpec{
			ClaimRef: &v1.ObjectReference{Namespace: "ns", Name: claim},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{
					{Key: v1alpha1.TopologyKey, Operator: v1.NodeSelectorOpIn, Values: []string{node}},
				},
			}}}},
		},
	}
}

// bound is the claim as the volume controller leaves it.
func bound(claim *v1.PersistentVolumeClaim) *v1.PersistentVolumeClaim {
	claim.Annotations = map[string]string{
		storagehelpers.AnnSelectedNode: nodeName, storagehelpers.AnnBindCompleted: "yes",
	}
	claim.Spec.VolumeName = "pv-" + claim.Name
	return claim
}
