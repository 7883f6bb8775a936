package csi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

const (
	testNamespace = "berth-system"
	mib           = int64(1) << 20
	gib           = int64(1) << 30
	testExtent    = 4 * mib
)

// testAgent is the agent of one node as the API shows it: it accepts, makes, refuses, grows and removes volumes of
// one volume group, and keeps their devices as sparse files.
type testAgent struct {
	node, directory string
	api             *fake.Client
	groupBytes      int64

	mu sync.Mutex
	// deaf leaves every order lying; refuse answers instead of making; hold stops after acceptance.
	deaf, hold bool
	refuse     func(*v1alpha1.LogicalVolume) (code, message string)
	seqno      int64
	unstaged   []string
}

// cluster is an API server with one node, its agent and a controller.
type cluster struct {
	t          *testing.T
	api        *fake.Client
	kubernetes kubernetes.Interface
	agent      *testAgent
	volumes    cache.SharedIndexInformer
	storages   cache.SharedIndexInformer
	controller *Controller
}

// newCluster starts a cluster whose node-1 has a volume group of the size given, with device class ssd, the default.
func newCluster(t *testing.T, groupBytes int64) *cluster {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	api := fake.New()
	c := &cluster{
		t: t, api: api, kubernetes: kubefake.NewClientset(),
		agent:    &testAgent{node: "node-1", directory: t.TempDir(), api: api, groupBytes: groupBytes, seqno: 1},
		volumes:  client.NewLogicalVolumeInformer(api, fields.Everything()),
		storages: client.NewNodeStorageInformer(api, fields.Everything()),
	}
	c.addNode("node-1", time.Now(), report("node-1", groupBytes))
	var err error
	c.controller, err = NewController(ControllerOptions{
		Client: api, Kubernetes: c.kubernetes, Volumes: c.volumes, Storages: c.storages,
		Namespace: testNamespace, AgentPatience: 20 * time.Millisecond, AgentStale: DefaultAgentStale,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.agent.watch(ctx)
	go c.volumes.RunWithContext(ctx)
	go c.storages.RunWithContext(ctx)
	// Not cache.WaitForCacheSync, which looks every 100 ms: there are many clusters.
	c.eventually("the informers have synced", c.controller.Ready)
	return c
}

// report is what a node with one volume group vg of the size given says.
func report(node string, groupBytes int64) *v1alpha1.NodeStorage {
	return &v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: node},
		Status: v1alpha1.NodeStorageStatus{
			VolumeGroups: []v1alpha1.VolumeGroupStatus{{
				Name: "vg", Usable: true, UUID: "vg-uuid", Seqno: 1,
				ExtentSizeBytes: testExtent, SizeBytes: groupBytes, FreeBytes: groupBytes,
				PhysicalVolumes: []v1alpha1.PhysicalVolumeStatus{
					{Name: "/dev/sda", SizeBytes: groupBytes, FreeBytes: groupBytes, Allocatable: true},
				},
			}},
			DeviceClasses: []v1alpha1.DeviceClassStatus{{Name: "ssd", VolumeGroup: "vg", Default: true}},
		},
	}
}

// addNode adds a Node, its agent's Lease renewed at the time given, and its report.
func (c *cluster) addNode(name string, renewed time.Time, storage *v1alpha1.NodeStorage) {
	c.t.Helper()
	ctx := context.Background()
	_, err := c.kubernetes.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: v1alpha1.AgentLeasePrefix + name},
		Spec:       coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: renewed}},
	}
	if _, err := c.kubernetes.CoordinationV1().Leases(testNamespace).Create(ctx, lease, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	created, err := c.api.NodeStorages().Create(ctx, storage, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	created.Status = storage.Status
	if _, err := c.api.NodeStorages().UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// volume returns a LogicalVolume as stored, or nil.
func (c *cluster) volume(name string) *v1alpha1.LogicalVolume {
	lv, err := c.api.LogicalVolumes().Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return lv
}

// put stores a LogicalVolume with its status and waits until the controller's cache has it.
func (c *cluster) put(lv *v1alpha1.LogicalVolume) *v1alpha1.LogicalVolume {
	c.t.Helper()
	var stored *v1alpha1.LogicalVolume
	// The agent must not take it for a pending one between the two writes.
	c.agent.set(func(*testAgent) {
		var err error
		if stored, err = c.api.LogicalVolumes().Create(context.Background(), lv, metav1.CreateOptions{}); err != nil {
			c.t.Fatal(err)
		}
		stored.Status = lv.Status
		if stored, err = c.api.LogicalVolumes().UpdateStatus(context.Background(), stored, metav1.UpdateOptions{}); err != nil {
			c.t.Fatal(err)
		}
	})
	c.eventually("the cache has "+lv.Name, func() bool {
		cached, ok := c.controller.watch.cached(lv.Name)
		return ok && !older(cached, stored)
	})
	return stored
}

func (c *cluster) eventually(what string, is func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not in time: %s", what)
		}
	}
}

func (a *testAgent) set(change func(*testAgent)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func (a *testAgent) watch(ctx context.Context) {
	informer := client.NewLogicalVolumeInformer(a.api, client.OnNode(a.node))
	// Adding a handler to an informer that is not stopped does not fail.
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { a.reconcile(object.(*v1alpha1.LogicalVolume).DeepCopy()) },
		UpdateFunc: func(_, object any) { a.reconcile(object.(*v1alpha1.LogicalVolume).DeepCopy()) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(*v1alpha1.LogicalVolume); ok && gone.IsSnapshot() {
				a.retry(gone.Spec.Source.Name)
			}
		},
	})
	go informer.RunWithContext(ctx)
}

// retry works on a volume whose snapshot has gone.
func (a *testAgent) retry(volumeID string) {
	if lv, err := a.api.LogicalVolumes().Get(context.Background(), volumeID, metav1.GetOptions{}); err == nil {
		a.reconcile(lv)
	}
}

// reconcile takes one step; each step's event brings the next.
func (a *testAgent) reconcile(lv *v1alpha1.LogicalVolume) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deaf {
		return
	}
	switch {
	case lv.Spec.State == v1alpha1.StateAbsent && a.hasSnapshots(lv):
		if lv.Status.Code == "FailedPrecondition" && lv.Status.ObservedGeneration == lv.Generation {
			return
		}
		lv.Status.Code, lv.Status.Message, lv.Status.ObservedGeneration = "FailedPrecondition", "it has snapshots", lv.Generation
	case lv.Spec.State == v1alpha1.StateAbsent:
		_ = os.Remove(a.device(lv.Name))
		_ = a.api.LogicalVolumes().Delete(context.Background(), lv.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &lv.UID}})
		return
	case lv.Status.Phase == v1alpha1.PhasePending:
		lv.Status.Phase = v1alpha1.PhaseAccepted
	case lv.Status.Phase == v1alpha1.PhaseAccepted && !a.hold:
		a.make(lv)
	case lv.Status.Phase == v1alpha1.PhaseReady && lv.Spec.SizeBytes > lv.Status.AllocatedBytes && lv.Status.ObservedGeneration < lv.Generation:
		a.make(lv)
		lv.Status.Phase = v1alpha1.PhaseReady
	default:
		return
	}
	// A conflict is followed by the event of what conflicted.
	_, _ = a.api.LogicalVolumes().UpdateStatus(context.Background(), lv, metav1.UpdateOptions{})
}

// make fills in the status of a volume that is made or grown, or refused.
func (a *testAgent) make(lv *v1alpha1.LogicalVolume) {
	lv.Status.ObservedGeneration = lv.Generation
	lv.Status.Code, lv.Status.Message = "", ""
	if a.refuse != nil {
		if lv.Status.Code, lv.Status.Message = a.refuse(lv); lv.Status.Code != "" {
			lv.Status.Phase = v1alpha1.PhaseFailed
			return
		}
	}
	size, err := lvm.RoundUp(lv.Spec.SizeBytes, testExtent)
	if err == nil {
		err = a.truncate(lv.Name, size)
	}
	if err == nil && lv.Spec.Source != nil {
		err = a.takeOver(lv, size)
	}
	if err != nil {
		lv.Status.Phase, lv.Status.Code, lv.Status.Message = v1alpha1.PhaseFailed, "Internal", err.Error()
		return
	}
	a.seqno++
	lv.Status.Phase, lv.Status.AllocatedBytes = v1alpha1.PhaseReady, size
	lv.Status.VolumeGroup = v1alpha1.VolumeGroupReference{Name: "vg", UUID: "vg-uuid", Seqno: a.seqno}
}

// hasSnapshots says of a volume that snapshots of it are there, which an agent without thin pools removes first.
func (a *testAgent) hasSnapshots(lv *v1alpha1.LogicalVolume) bool {
	list, err := a.api.LogicalVolumes().List(context.Background(), metav1.ListOptions{})
	return err != nil || slices.ContainsFunc(list.Items, func(other v1alpha1.LogicalVolume) bool {
		return other.IsSnapshot() && other.Spec.Source.Name == lv.Name
	})
}

// takeOver checks that the bytes of a source are there and have room.
func (a *testAgent) takeOver(lv *v1alpha1.LogicalVolume, size int64) error {
	source, err := a.api.LogicalVolumes().Get(context.Background(), lv.Spec.Source.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if lv.IsSnapshot() {
		lv.Status.SourceBytes = source.Status.AllocatedBytes
	} else if view := viewBytes(source); size < view {
		return fmt.Errorf("%d bytes do not hold the %d of %s", size, view, source.Name)
	}
	return nil
}

func (a *testAgent) device(volumeID string) string { return filepath.Join(a.directory, volumeID) }

func (a *testAgent) truncate(volumeID string, size int64) error {
	file, err := os.OpenFile(a.device(volumeID), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

// Stageable implements Volumes.
func (a *testAgent) Stageable(ctx context.Context, volumeID string) (StageInfo, error) {
	lv, err := a.api.LogicalVolumes().Get(ctx, volumeID, metav1.GetOptions{})
	if err != nil {
		return StageInfo{}, fmt.Errorf("volume %s: %w", volumeID, lvm.ErrNotFound)
	}
	if lv.Status.Phase != v1alpha1.PhaseReady {
		return StageInfo{}, fmt.Errorf("volume %s is %q: %w", volumeID, lv.Status.Phase, ErrPrecondition)
	}
	return StageInfo{DevicePath: a.device(volumeID), FSType: lv.Spec.FSType, SizeBytes: lv.Status.AllocatedBytes}, nil
}

// Unstaged implements Volumes.
func (a *testAgent) Unstaged(volumeID string) {
	a.set(func(a *testAgent) { a.unstaged = append(a.unstaged, volumeID) })
}

// Published implements Volumes.
func (a *testAgent) Published(string) {}

// FormatEncrypted implements Volumes. None of these volumes is encrypted, and none a copy.
func (a *testAgent) FormatEncrypted(_ context.Context, volumeID, _ string, _ int64) error {
	return fmt.Errorf("volume %s is not encrypted", volumeID)
}

// MarkFormatted implements Volumes.
func (a *testAgent) MarkFormatted(_ context.Context, volumeID string) error {
	return fmt.Errorf("volume %s is not encrypted", volumeID)
}

// Renew implements Volumes.
func (a *testAgent) Renew(_ context.Context, device, _ string) error {
	return fmt.Errorf("%s holds no copy", device)
}
