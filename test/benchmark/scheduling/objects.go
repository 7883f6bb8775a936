package main

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const (
	namespace     = metav1.NamespaceDefault
	schedulerName = "berth-scheduler"
	driverName    = v1alpha1.DriverName
	className     = "berth"
	deviceClass   = "standard"
	volumeGroup   = "berth"
	zones         = 3

	// A volume group holds a hundred claims: space decides where a pod goes and never keeps it from going.
	groupBytes, claimBytes, extentBytes int64 = 100 << 30, 1 << 30, 4 << 20
)

func nodeName(i int) string { return fmt.Sprintf("node-%04d", i) }

// addNode makes a Node and what belongs to it.
func (c *cluster) addNode(ctx context.Context, name string, i int) error {
	if _, err := c.kube.CoreV1().Nodes().Create(ctx, node(name, i), metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := c.kube.StorageV1().CSINodes().Create(ctx, csiNode(name), metav1.CreateOptions{}); err != nil {
		return err
	}
	capacities := c.kube.StorageV1().CSIStorageCapacities(v1alpha1.Namespace)
	if _, err := capacities.Create(ctx, storageCapacity(name), metav1.CreateOptions{}); err != nil {
		return err
	}
	leases := c.kube.CoordinationV1().Leases(v1alpha1.Namespace)
	if _, err := leases.Create(ctx, agentLease(name), metav1.CreateOptions{}); err != nil {
		return err
	}
	storage, err := c.berth.NodeStorages().Create(ctx, &v1alpha1.NodeStorage{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	storage.Status = (&agent{name: name, seqno: 1, freeBytes: groupBytes}).report()
	_, err = c.berth.NodeStorages().UpdateStatus(ctx, storage, metav1.UpdateOptions{})
	return err
}

func node(name string, i int) *v1.Node {
	resources := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("32"), v1.ResourceMemory: resource.MustParse("128Gi"), v1.ResourcePods: resource.MustParse("110"),
	}
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			v1.LabelHostname: name, v1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%zones), v1.LabelTopologyRegion: "region",
			v1.LabelOSStable: "linux", v1.LabelArchStable: "amd64", v1alpha1.TopologyKey: name,
		}},
		Status: v1.NodeStatus{
			Capacity: resources, Allocatable: resources,
			Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}},
		},
	}
}

func csiNode(name string) *storagev1.CSINode {
	return &storagev1.CSINode{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
			{Name: driverName, NodeID: name, TopologyKeys: []string{v1alpha1.TopologyKey}},
		}},
	}
}

// storageCapacity is as csi-provisioner makes it.
func storageCapacity(name string) *storagev1.CSIStorageCapacity {
	return &storagev1.CSIStorageCapacity{
		ObjectMeta: metav1.ObjectMeta{Name: "csisc-" + name, Labels: map[string]string{
			"csi.storage.k8s.io/drivername": driverName, "csi.storage.k8s.io/managed-by": "external-provisioner",
		}},
		NodeTopology:     &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.TopologyKey: name}},
		StorageClassName: className,
		Capacity:         resource.NewQuantity(groupBytes, resource.BinarySI),
	}
}

func agentLease(name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.AgentLeasePrefix + name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &name, LeaseDurationSeconds: ptr.To[int32](180), RenewTime: ptr.To(metav1.NowMicro()),
		},
	}
}

func storageClass() *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: className}, Provisioner: driverName,
		Parameters:        map[string]string{"deviceClass": deviceClass},
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
}

// claim is the claim of the pod of that name.
func claim(name string) *v1.PersistentVolumeClaim {
	return &v1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PersistentVolumeClaimSpec{
			AccessModes: []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce}, StorageClassName: ptr.To(className),
			Resources: v1.VolumeResourceRequirements{Requests: v1.ResourceList{v1.ResourceStorage: *resource.NewQuantity(claimBytes, resource.BinarySI)}},
		},
	}
}

// pod is as large as a small service, and as in life not the only one of its kind.
func pod(name string, withClaim bool) *v1.Pod {
	p := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "benchmark"}},
		Spec: v1.PodSpec{
			SchedulerName: schedulerName,
			Containers: []v1.Container{{Name: "main", Image: "image", Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
				v1.ResourceCPU: resource.MustParse("100m"), v1.ResourceMemory: resource.MustParse("500Mi"),
			}}}},
		},
	}
	if withClaim {
		p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: v1.VolumeSource{
			PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}}}
	}
	return p
}

// persistentVolume is what csi-provisioner makes for a claim.
func persistentVolume(claim *v1.PersistentVolumeClaim, node string) *v1.PersistentVolume {
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(claim.UID)},
		Spec: v1.PersistentVolumeSpec{
			Capacity: claim.Spec.Resources.Requests, AccessModes: claim.Spec.AccessModes,
			StorageClassName: className, PersistentVolumeReclaimPolicy: v1.PersistentVolumeReclaimDelete,
			ClaimRef: &v1.ObjectReference{
				Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{
				Driver: driverName, VolumeHandle: "pvc-" + string(claim.UID),
			}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1alpha1.TopologyKey, Operator: v1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
}
