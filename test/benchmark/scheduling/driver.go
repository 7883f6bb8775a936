package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	storagehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// renewalPeriod is how often an agent renews its Lease.
const renewalPeriod = time.Minute

// errRefused: a volume was placed where it does not fit, which makes a run worthless.
var errRefused = errors.New("volume does not fit its node")

// driver is csi-provisioner, the volume controller, our controller and all agents: it makes a volume for each claim with
// selected-node and binds it, with the writes that these make in life and as fast as the API server takes them.
type driver struct {
	*cluster
	// fail ends the run.
	fail   context.CancelCauseFunc
	agents map[string]*agent
	leases []*coordinationv1.Lease
	work   sync.WaitGroup
	queue  chan *v1.PersistentVolumeClaim

	mu sync.Mutex
	// seen are the claims that are being worked on or done, boundAt those that are bound, by name.
	seen    map[types.UID]bool
	boundAt map[string]time.Time
}

// agent is one node's volume group and the last report that was written of it. It has its own lock, which keeps the
// reports in their order.
type agent struct {
	name string

	mu        sync.Mutex
	seqno     int64
	freeBytes int64
	recent    []v1alpha1.LogicalVolumeEntry
	written   *v1alpha1.NodeStorage
}

// startDriver serves the cluster's claims until ctx ends; fail is told of the first error. All agents have renewed
// their Leases when it returns.
func (c *cluster) startDriver(ctx context.Context, fail context.CancelCauseFunc, claims int) (*driver, error) {
	d := &driver{
		cluster: c, fail: fail, agents: map[string]*agent{}, queue: make(chan *v1.PersistentVolumeClaim, claims),
		seen: map[types.UID]bool{}, boundAt: map[string]time.Time{},
	}
	if err := d.readAgents(ctx); err != nil {
		return nil, err
	}
	if err := inParallel(ctx, len(d.leases), func(i int) error { return d.renew(ctx, i) }); err != nil {
		return nil, err
	}
	informer := informers.NewSharedInformerFactoryWithOptions(c.kube, 0, informers.WithNamespace(namespace)).Core().V1().PersistentVolumeClaims().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { d.onClaim(object.(*v1.PersistentVolumeClaim)) },
		UpdateFunc: func(_, object any) { d.onClaim(object.(*v1.PersistentVolumeClaim)) },
	}); err != nil {
		return nil, err
	}
	d.work.Go(func() { informer.RunWithContext(ctx) })
	d.work.Go(func() { d.renewAll(ctx) })
	for range writers {
		d.work.Go(func() { d.provisionAll(ctx) })
	}
	return d, nil
}

// readAgents takes over where the cluster's preparation left off.
func (d *driver) readAgents(ctx context.Context) error {
	storages, err := d.berth.NodeStorages().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range storages.Items {
		s := &storages.Items[i]
		d.agents[s.Name] = &agent{name: s.Name, seqno: 1, freeBytes: groupBytes, written: s}
	}
	leases, err := d.kube.CoordinationV1().Leases(v1alpha1.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range leases.Items {
		d.leases = append(d.leases, &leases.Items[i])
	}
	return nil
}

// renewAll renews one Lease after the other, each once in a renewalPeriod.
func (d *driver) renewAll(ctx context.Context) {
	ticker := time.NewTicker(renewalPeriod / time.Duration(len(d.leases)))
	defer ticker.Stop()
	for i := 0; ; i = (i + 1) % len(d.leases) {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.check(ctx, "renew Lease", d.renew(ctx, i))
		}
	}
}

func (d *driver) renew(ctx context.Context, i int) error {
	d.leases[i].Spec.RenewTime = ptr.To(metav1.NowMicro())
	written, err := d.kube.CoordinationV1().Leases(v1alpha1.Namespace).Update(ctx, d.leases[i], metav1.UpdateOptions{})
	if err == nil {
		d.leases[i] = written
	}
	return err
}

// onClaim queues a claim whose node is chosen.
func (d *driver) onClaim(claim *v1.PersistentVolumeClaim) {
	if claim.Annotations[storagehelpers.AnnSelectedNode] == "" || claim.Spec.VolumeName != "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.seen[claim.UID] {
		d.seen[claim.UID] = true
		d.queue <- claim
	}
}

func (d *driver) provisionAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case claim := <-d.queue:
			d.check(ctx, "provision "+claim.Name, d.provision(ctx, claim, claim.Annotations[storagehelpers.AnnSelectedNode]))
		}
	}
}

// check ends the run at an error that is not its end.
func (d *driver) check(ctx context.Context, step string, err error) {
	if err != nil && ctx.Err() == nil {
		d.fail(fmt.Errorf("driver: %s: %w", step, err))
	}
}

// provision is CreateVolume and what follows.
func (d *driver) provision(ctx context.Context, claim *v1.PersistentVolumeClaim, node string) error {
	volumes := d.berth.LogicalVolumes()
	volume, err := volumes.Create(ctx, logicalVolume(claim, node), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	volume.Status.Phase = v1alpha1.PhaseAccepted
	if volume, err = volumes.UpdateStatus(ctx, volume, metav1.UpdateOptions{}); err != nil {
		return err
	}
	seqno, err := d.agents[node].create(ctx, d.berth.NodeStorages().UpdateStatus, volume.Name, volume.Spec.SizeBytes)
	if err != nil {
		return err
	}
	volume.Status.Phase, volume.Status.AllocatedBytes = v1alpha1.PhaseReady, volume.Spec.SizeBytes
	volume.Status.VolumeGroup = v1alpha1.VolumeGroupReference{Name: volumeGroup, UUID: "uuid-" + node, Seqno: seqno}
	volume.Status.ObservedGeneration = volume.Generation
	if _, err = volumes.UpdateStatus(ctx, volume, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return d.bind(ctx, claim, node)
}

func logicalVolume(claim *v1.PersistentVolumeClaim, node string) *v1alpha1.LogicalVolume {
	return &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(claim.UID)},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName: node, DeviceClass: deviceClass, SizeBytes: claimBytes, FSType: "ext4", State: v1alpha1.StatePresent,
			ClaimRef: v1alpha1.ClaimReference{Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		},
	}
}

// bind makes the PersistentVolume and does the volume controller's part.
func (d *driver) bind(ctx context.Context, claim *v1.PersistentVolumeClaim, node string) error {
	volume := persistentVolume(claim, node)
	if _, err := d.kube.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err != nil {
		return err
	}
	claims := d.kube.CoreV1().PersistentVolumeClaims(claim.Namespace)
	// The informer's object is shared.
	claim = claim.DeepCopy()
	claim.Annotations[storagehelpers.AnnBindCompleted] = "yes"
	claim.Spec.VolumeName = volume.Name
	claim, err := claims.Update(ctx, claim, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.boundAt[claim.Name] = time.Now()
	d.mu.Unlock()
	claim.Status.Phase, claim.Status.AccessModes, claim.Status.Capacity = v1.ClaimBound, claim.Spec.AccessModes, volume.Spec.Capacity
	_, err = claims.UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	return err
}

// create is lvcreate and the report that follows. It returns the seqno that includes the volume.
func (a *agent) create(ctx context.Context, write updateStatus, name string, bytes int64) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.freeBytes < bytes {
		return 0, fmt.Errorf("%w: %s, %d bytes of %d free", errRefused, a.name, bytes, a.freeBytes)
	}
	a.freeBytes -= bytes
	a.seqno++
	a.recent = append([]v1alpha1.LogicalVolumeEntry{{Name: name, SizeBytes: bytes}}, a.recent[:min(len(a.recent), 63)]...)
	object := a.written.DeepCopy()
	object.Status = a.report()
	written, err := write(ctx, object, metav1.UpdateOptions{})
	if err != nil {
		return 0, err
	}
	a.written = written
	return a.seqno, nil
}

type updateStatus func(context.Context, *v1alpha1.NodeStorage, metav1.UpdateOptions) (*v1alpha1.NodeStorage, error)

// report is the node's status. Caller holds mu.
func (a *agent) report() v1alpha1.NodeStorageStatus {
	return v1alpha1.NodeStorageStatus{
		ObservedAt: metav1.NowMicro(),
		Summary:    v1alpha1.StorageSummary{Volumes: int32(len(a.recent))},
		VolumeGroups: []v1alpha1.VolumeGroupStatus{{
			Name: volumeGroup, Usable: true, UUID: "uuid-" + a.name, Seqno: a.seqno, ExtentSizeBytes: extentBytes,
			SizeBytes: groupBytes, FreeBytes: a.freeBytes,
			PhysicalVolumes: []v1alpha1.PhysicalVolumeStatus{
				{Name: "/dev/sdb", UUID: "uuid-pv-" + a.name, SizeBytes: groupBytes, FreeBytes: a.freeBytes, Allocatable: true},
			},
			Recent: a.recent,
		}},
		DeviceClasses: []v1alpha1.DeviceClassStatus{
			{Name: deviceClass, VolumeGroup: volumeGroup, Default: true, Layout: v1alpha1.LayoutLinear},
		},
		Conditions: []metav1.Condition{{
			Type: v1alpha1.NodeStorageReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady, LastTransitionTime: metav1.Now(),
		}},
	}
}
