//go:build integration

package integration

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	storagehelpers "k8s.io/component-helpers/storage/volume"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

const extentBytes = 4 << 20

// fakeDriver is csi-provisioner, the controller and every node's agent in one: it makes a volume for each claim with
// selected-node in its class, refuses what does not fit, and removes volumes of deleted claims. Every step takes a
// random time, as in life.
type fakeDriver struct {
	*environment
	class string
	ctx   context.Context
	t     *testing.T
	work  sync.WaitGroup
	// stop ends the driver once it has removed the volumes of deleted claims; only the first call does anything.
	stop func()

	mu    sync.Mutex
	nodes map[string]*fakeNode
	// held, when not nil, keeps volumes from being made until it is closed.
	held chan struct{}
	// claims are those that are being worked on or done.
	claims  map[types.UID]claimState
	refused int
	// boundAt is when each claim was bound, goneAt when its volume was gone from disk.
	boundAt, goneAt map[string]time.Time
}

// claimState is how far a claim has come.
type claimState int

const (
	unseen claimState = iota
	// inWork: as in life, a claim's deletion does not stop its volume from being made; it is removed afterwards.
	inWork
	done
	removed
)

// fakeNode is one node's volume group.
type fakeNode struct {
	sizeBytes int64
	seqno     int64
	volumes   map[string]int64
	// unseenBytes are taken by somebody else, and no report shows it yet.
	unseenBytes int64
	// publishing keeps the node's reports in their order.
	publishing sync.Mutex
}

// newFakeDriver serves claims of the StorageClass and device class named class until the test ends.
func newFakeDriver(t *testing.T, e *environment, class string) *fakeDriver {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &fakeDriver{
		environment: e, class: class, ctx: ctx, t: t, nodes: map[string]*fakeNode{},
		claims: map[types.UID]claimState{}, boundAt: map[string]time.Time{}, goneAt: map[string]time.Time{},
	}
	informer := informers.NewSharedInformerFactory(e.kube, 0).Core().V1().PersistentVolumeClaims().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { d.onClaim(object.(*v1.PersistentVolumeClaim)) },
		UpdateFunc: func(_, object any) { d.onClaim(object.(*v1.PersistentVolumeClaim)) },
		DeleteFunc: func(object any) {
			if claim, ok := object.(*v1.PersistentVolumeClaim); ok && d.ours(claim) {
				d.work.Go(func() { d.remove(claim) })
			}
		},
	}); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		informer.RunWithContext(ctx)
	}()
	d.stop = sync.OnceFunc(func() {
		d.awaitNoVolumes()
		cancel()
		<-stopped
		d.work.Wait()
	})
	t.Cleanup(d.stop)
	return d
}

// awaitNoVolumes waits until the volumes of deleted claims are gone, for a few seconds at most.
func (d *fakeDriver) awaitNoVolumes() {
	for range 100 {
		volumes, err := d.berth.LogicalVolumes().List(d.ctx, metav1.ListOptions{})
		if err == nil && !slices.ContainsFunc(volumes.Items, func(v v1alpha1.LogicalVolume) bool { return v.Spec.DeviceClass == d.class }) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.t.Errorf("volumes of class %s are left", d.class)
}

func (d *fakeDriver) ours(claim *v1.PersistentVolumeClaim) bool {
	return storagehelpers.GetPersistentVolumeClaimClass(claim) == d.class
}

// onClaim starts the work on a claim whose node is chosen.
func (d *fakeDriver) onClaim(claim *v1.PersistentVolumeClaim) {
	node := claim.Annotations[storagehelpers.AnnSelectedNode]
	if !d.ours(claim) || node == "" || claim.Spec.VolumeName != "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claims[claim.UID] == unseen {
		d.claims[claim.UID] = inWork
		d.work.Go(func() { d.provision(claim, node) })
	}
}

// hold keeps volumes from being made until the returned function is called.
func (d *fakeDriver) hold() (release func()) {
	held := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = held
	return sync.OnceFunc(func() { close(held) })
}

func (d *fakeDriver) awaitRelease() {
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held != nil {
		select {
		case <-d.ctx.Done():
		case <-held:
		}
	}
}

// provision is CreateVolume and what follows.
func (d *fakeDriver) provision(claim *v1.PersistentVolumeClaim, node string) {
	d.awaitRelease()
	d.pause(100)
	request := claim.Spec.Resources.Requests[v1.ResourceStorage]
	volume, err := d.berth.LogicalVolumes().Create(d.ctx, &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(claim.UID)},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName: node, DeviceClass: d.class, SizeBytes: request.Value(), FSType: "ext4", State: v1alpha1.StatePresent,
			ClaimRef: v1alpha1.ClaimReference{Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		},
	}, metav1.CreateOptions{})
	if d.failed("create LogicalVolume", err) {
		return
	}
	d.pause(50)
	volume.Status.Phase = v1alpha1.PhaseAccepted
	if volume, err = d.berth.LogicalVolumes().UpdateStatus(d.ctx, volume, metav1.UpdateOptions{}); d.failed("accept", err) {
		return
	}
	d.pause(200)
	seqno, ok := d.create(node, volume.Name, request.Value())
	if !ok {
		d.refuse(claim, volume)
		return
	}
	d.publish(node)
	volume.Status.Phase, volume.Status.AllocatedBytes = v1alpha1.PhaseReady, rounded(request.Value())
	volume.Status.VolumeGroup = v1alpha1.VolumeGroupReference{Name: "vg-" + d.class, UUID: "uuid-" + node, Seqno: seqno}
	if _, err = d.berth.LogicalVolumes().UpdateStatus(d.ctx, volume, metav1.UpdateOptions{}); d.failed("make ready", err) {
		return
	}
	d.finish(claim, node)
}

// finish binds the claim, or removes the volume when the claim is gone meanwhile.
func (d *fakeDriver) finish(claim *v1.PersistentVolumeClaim, node string) {
	d.mu.Lock()
	d.claims[claim.UID] = done
	d.mu.Unlock()
	_, err := d.kube.CoreV1().PersistentVolumeClaims(claim.Namespace).Get(d.ctx, claim.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		d.remove(claim)
	} else if !d.failed("get claim", err) {
		d.bind(claim, node)
	}
}

// create is lvcreate: it returns the new seqno, or false when the bytes are not there.
func (d *fakeDriver) create(node, name string, bytes int64) (int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.nodes[node]
	if n.freeBytes()-n.unseenBytes < rounded(bytes) {
		return 0, false
	}
	n.volumes[name] = rounded(bytes)
	n.seqno++
	return n.seqno, true
}

// refuse is phase Failed, ResourceExhausted, and the provisioner that gives the node up.
func (d *fakeDriver) refuse(claim *v1.PersistentVolumeClaim, volume *v1alpha1.LogicalVolume) {
	d.mu.Lock()
	d.refused++
	delete(d.claims, claim.UID)
	n := d.nodes[volume.Spec.NodeName]
	n.sizeBytes, n.unseenBytes = n.sizeBytes-n.unseenBytes, 0
	d.mu.Unlock()
	d.publish(volume.Spec.NodeName)
	volume.Status.Phase, volume.Status.Code = v1alpha1.PhaseFailed, "ResourceExhausted"
	_, err := d.berth.LogicalVolumes().UpdateStatus(d.ctx, volume, metav1.UpdateOptions{})
	d.failed("refuse", err)
	d.failed("delete refused", d.berth.LogicalVolumes().Delete(d.ctx, volume.Name, metav1.DeleteOptions{}))
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, storagehelpers.AnnSelectedNode)
	_, err = d.kube.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(d.ctx, claim.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	d.failed("clear selected-node", err)
}

// bind makes the PersistentVolume and does the volume controller's part.
func (d *fakeDriver) bind(claim *v1.PersistentVolumeClaim, node string) {
	volume := persistentVolume(claim, node)
	if _, err := d.kube.CoreV1().PersistentVolumes().Create(d.ctx, volume, metav1.CreateOptions{}); d.failed("create PersistentVolume", err) {
		return
	}
	claims := d.kube.CoreV1().PersistentVolumeClaims(claim.Namespace)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"yes"}},"spec":{"volumeName":%q}}`, storagehelpers.AnnBindCompleted, volume.Name)
	if _, err := claims.Patch(d.ctx, claim.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); apierrors.IsNotFound(err) {
		d.remove(claim)
		return
	} else if d.failed("bind", err) {
		return
	}
	d.mu.Lock()
	d.boundAt[claim.Name] = time.Now()
	d.mu.Unlock()
	_, err := claims.Patch(d.ctx, claim.Name, types.MergePatchType, []byte(`{"status":{"phase":"Bound"}}`), metav1.PatchOptions{}, "status")
	if !apierrors.IsNotFound(err) {
		d.failed("bind", err)
	}
}

// remove is DeleteVolume for a claim that is gone.
func (d *fakeDriver) remove(claim *v1.PersistentVolumeClaim) {
	d.mu.Lock()
	state := d.claims[claim.UID]
	if state != inWork {
		d.claims[claim.UID] = removed
	}
	d.mu.Unlock()
	if state == inWork || state == removed {
		return
	}
	name := "pvc-" + string(claim.UID)
	volume, err := d.berth.LogicalVolumes().Get(d.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || d.failed("get LogicalVolume", err) {
		return
	}
	volume.Spec.State = v1alpha1.StateAbsent
	if _, err := d.berth.LogicalVolumes().Update(d.ctx, volume, metav1.UpdateOptions{}); d.failed("order Absent", err) {
		return
	}
	d.pause(100)
	d.mu.Lock()
	delete(d.nodes[volume.Spec.NodeName].volumes, name)
	d.nodes[volume.Spec.NodeName].seqno++
	d.goneAt[claim.Name] = time.Now()
	d.mu.Unlock()
	d.publish(volume.Spec.NodeName)
	d.failed("delete LogicalVolume", d.berth.LogicalVolumes().Delete(d.ctx, name, metav1.DeleteOptions{}))
	// There is none when the claim was gone before it was bound.
	if err := d.kube.CoreV1().PersistentVolumes().Delete(d.ctx, name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		d.failed("delete PersistentVolume", err)
	}
}

// publish writes the node's report as it is now.
func (d *fakeDriver) publish(node string) {
	d.mu.Lock()
	n := d.nodes[node]
	d.mu.Unlock()
	n.publishing.Lock()
	defer n.publishing.Unlock()
	object, err := d.berth.NodeStorages().Get(d.ctx, node, metav1.GetOptions{})
	if d.failed("get NodeStorage", err) {
		return
	}
	d.mu.Lock()
	object.Status = d.status(node, n)
	d.mu.Unlock()
	_, err = d.berth.NodeStorages().UpdateStatus(d.ctx, object, metav1.UpdateOptions{})
	d.failed("publish NodeStorage", err)
}

// status is the node's report. Caller holds mu.
func (d *fakeDriver) status(node string, n *fakeNode) v1alpha1.NodeStorageStatus {
	group := v1alpha1.VolumeGroupStatus{
		Name: "vg-" + d.class, Usable: true, UUID: "uuid-" + node, Seqno: n.seqno, ExtentSizeBytes: extentBytes,
		SizeBytes: n.sizeBytes, FreeBytes: n.freeBytes(),
		PhysicalVolumes: []v1alpha1.PhysicalVolumeStatus{
			{Name: "/dev/sdb", SizeBytes: n.sizeBytes, FreeBytes: n.freeBytes(), Allocatable: true},
		},
	}
	for _, name := range slices.Sorted(maps.Keys(n.volumes)) {
		group.Recent = append(group.Recent, v1alpha1.LogicalVolumeEntry{Name: name, SizeBytes: n.volumes[name]})
	}
	return v1alpha1.NodeStorageStatus{
		ObservedAt: metav1.NowMicro(), VolumeGroups: []v1alpha1.VolumeGroupStatus{group},
		DeviceClasses: []v1alpha1.DeviceClassStatus{{Name: d.class, VolumeGroup: group.Name, Layout: v1alpha1.LayoutLinear}},
	}
}

func (n *fakeNode) freeBytes() int64 {
	free := n.sizeBytes
	for _, bytes := range n.volumes {
		free -= bytes
	}
	return free
}

// refusals is how many volumes did not fit where they were placed.
func (d *fakeDriver) refusals() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

// failed reports an error that is not the test's end.
func (d *fakeDriver) failed(step string, err error) bool {
	if err != nil && d.ctx.Err() == nil {
		d.t.Errorf("fake driver: %s: %v", step, err)
	}
	return err != nil
}

// pause takes up to the given milliseconds.
func (d *fakeDriver) pause(milliseconds int) {
	select {
	case <-d.ctx.Done():
	case <-time.After(time.Duration(rand.IntN(milliseconds)+1) * time.Millisecond):
	}
}

func rounded(bytes int64) int64 {
	size, err := lvm.RoundUp(bytes, extentBytes)
	if err != nil {
		panic(err)
	}
	return size
}
