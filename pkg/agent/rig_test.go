package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"

	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
	"github.com/berth-dev/berth/pkg/qos"
)

const (
	mi = int64(1) << 20
	gi = int64(1) << 30

	node1 = "node-1"
)

const oneClass = `
volumeGroups:
- name: vg0
  spare: 1Gi
deviceClasses:
- {name: ssd, volumeGroup: vg0, default: true}
`

// rig is one node in memory: LVM, an API server, and at most one running agent. It lives in a synctest bubble, so
// waiting takes no time.
type rig struct {
	t         *testing.T
	manager   *lvmfake.Manager
	client    *fake.Client
	kube      *kubefake.Clientset
	formatter *fakeFormatter
	eraser    *fakeEraser
	copier    *fakeCopier
	renewer   *fakeRenewer
	disks     *fakeDisks
	events    *record.FakeRecorder
	config    string
	limit     func([]qos.Volume) ([]qos.Result, error)

	agent *Agent
	kill  context.CancelFunc
	stop  func()
}

// inBubble runs a test on a node with volume group vg0 of 10 GiB on one physical volume, 1 GiB of it spare.
func inBubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{
			t: t, manager: lvmfake.New(directory), client: fake.New(), kube: kubefake.NewClientset(),
			formatter: &fakeFormatter{}, eraser: &fakeEraser{}, copier: &fakeCopier{}, renewer: &fakeRenewer{}, disks: &fakeDisks{}, events: record.NewFakeRecorder(10000),
			config: filepath.Join(directory, "config.yaml"),
		}
		r.formatter.rig, r.eraser.rig, r.disks.rig = r, r, r
		r.events.IncludeObject = true
		r.manager.AddVolumeGroup("vg0", 10*gi)
		r.addNode("uid-1")
		r.writeConfig(oneClass)
		defer func() { r.halt() }()
		test(r)
	})
}

func (r *rig) addNode(uid types.UID) {
	r.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node1, UID: uid}}
	if _, err := r.kube.CoreV1().Nodes().Create(r.t.Context(), node, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) writeConfig(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// start runs an agent until stop, and waits for it to settle.
func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.agent = New(Options{
		NodeName: node1, Namespace: v1alpha1.Namespace, ConfigPath: r.config,
		Manager: guard{r.manager, r}, Fingerprint: r.manager.Fingerprint,
		Resume:         func(context.Context, []string) ([]string, error) { return nil, nil },
		SnapshotStatus: r.manager.SnapshotStatus, Copier: r.copier, Renewer: r.renewer,
		ThinPoolStatus: r.manager.ThinPoolStatus, RAIDStatus: r.manager.RAIDStatus,
		Formatter: r.formatter, Eraser: r.eraser, Disks: r.disks, Clock: &ClockMeter{}, Limit: r.limit,
		Client: r.client, Kubernetes: r.kube, Recorder: r.events, Registerer: prometheus.NewRegistry(),
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.agent.Run(ctx)
	}()
	r.kill, r.stop = cancel, func() { cancel(); <-done }
	r.wait(5 * time.Second)
}

// halt stops the agent, if one runs, as a kill would: nothing it does afterwards counts.
func (r *rig) halt() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// wait lets time pass and everything settle.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func order(name string, change ...func(*v1alpha1.LogicalVolume)) *v1alpha1.LogicalVolume {
	lv := &v1alpha1.LogicalVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.LogicalVolumeSpec{
		NodeName: node1, DeviceClass: "ssd", SizeBytes: gi, FSType: "ext4", Erase: v1alpha1.EraseNone, State: v1alpha1.StatePresent,
		ClaimRef: v1alpha1.ClaimReference{Namespace: "shop", Name: "data-" + name},
	}}
	for _, f := range change {
		f(lv)
	}
	return lv
}

func (r *rig) create(lv *v1alpha1.LogicalVolume) {
	r.t.Helper()
	if _, err := r.client.LogicalVolumes().Create(r.t.Context(), lv, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// get returns the object, or nil.
func (r *rig) get(name string) *v1alpha1.LogicalVolume {
	lv, err := r.client.LogicalVolumes().Get(r.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return lv
}

func (r *rig) patch(name, patch string) {
	r.t.Helper()
	if _, err := r.client.LogicalVolumes().Patch(r.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// wantReady fails the test unless the volume is Ready and on disk with its ready tag; it returns the object.
func (r *rig) wantReady(name string) *v1alpha1.LogicalVolume {
	r.t.Helper()
	lv := r.get(name)
	if lv == nil || lv.Status.Phase != v1alpha1.PhaseReady {
		r.t.Fatalf("%s: %+v, want phase Ready", name, lv)
	}
	if on := r.onDisk(name); on == nil || !lvm.ParseTags(on.Tags).Ready || on.SizeBytes != lv.Status.AllocatedBytes {
		r.t.Fatalf("%s on disk: %+v, want the ready tag and %d bytes", name, on, lv.Status.AllocatedBytes)
	}
	return lv
}

// wantOutcome fails the test unless the object has this phase and code; it returns the message.
func (r *rig) wantOutcome(name string, phase v1alpha1.VolumePhase, code string) string {
	r.t.Helper()
	lv := r.get(name)
	if lv == nil || lv.Status.Phase != phase || lv.Status.Code != code {
		r.t.Fatalf("%s: %+v, want phase %s and code %s", name, lv, phase, code)
	}
	return lv.Status.Message
}

// disk is vg0 as LVM has it. It is itself an execution.
func (r *rig) disk() lvm.VolumeGroup {
	r.t.Helper()
	report, err := r.manager.Report(context.Background(), []string{"vg0"})
	if err != nil {
		r.t.Fatal(err)
	}
	return report.VolumeGroups["vg0"]
}

func (r *rig) onDisk(name string) *lvm.LogicalVolume {
	vg := r.disk()
	if lv, ok := vg.LogicalVolume(name); ok {
		return &lv
	}
	return nil
}

// executions counts LVM's executions during f, in which the test itself must not look at the disk.
func (r *rig) executions(f func()) map[lvmfake.Operation]int {
	before := r.manager.Executions()
	f()
	difference := map[lvmfake.Operation]int{}
	for operation, n := range r.manager.Executions() {
		if n != before[operation] {
			difference[operation] = n - before[operation]
		}
	}
	return difference
}

func (r *rig) storage() *v1alpha1.NodeStorage {
	r.t.Helper()
	storage, err := r.client.NodeStorages().Get(r.t.Context(), node1, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return storage
}

// sawEvent says whether an event with this text was recorded since the last call.
func (r *rig) sawEvent(text string) bool {
	found := false
	for {
		select {
		case event := <-r.events.Events:
			found = found || strings.Contains(event, text)
		default:
			return found
		}
	}
}

// fakeFormatter remembers what it formatted and refuses, by failing the test, to format a volume that was ready.
type fakeFormatter struct {
	rig *rig

	mu      sync.Mutex
	names   []string
	respond func(ctx context.Context, name string) error
}

func (f *fakeFormatter) Format(ctx context.Context, device, _ string, _ []string, _ bool) error {
	if err := ctx.Err(); err != nil {
		return err // A program is not started with a context that has ended.
	}
	name := strings.TrimPrefix(strings.ReplaceAll(filepath.Base(device), "--", "-"), "vg0-")
	inside, plaintext := strings.CutPrefix(name, "berth@")
	lv := f.rig.onDisk(inside)
	switch {
	case lv == nil:
		return errors.New("no such device: " + name)
	case plaintext && lvm.ParseTags(lv.Tags).LUKS:
		f.rig.t.Errorf("%s is formatted although it carries the LUKS tag", name)
	case !plaintext && lvm.ParseTags(lv.Tags).Ready:
		f.rig.t.Errorf("%s is formatted although it carries the ready tag", name)
	}
	f.mu.Lock()
	f.names = append(f.names, name)
	respond := f.respond
	f.mu.Unlock()
	if respond != nil {
		return respond(ctx, name)
	}
	return nil
}

func (f *fakeFormatter) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(f.names), func(n string) bool { return n != name }))
}

func (f *fakeFormatter) setRespond(respond func(ctx context.Context, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.respond = respond
}
