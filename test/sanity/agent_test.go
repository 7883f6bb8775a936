//go:build !lab

package sanity_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"

	"github.com/berth-dev/berth/pkg/agent"
	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/csi"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
	"github.com/berth-dev/berth/test/sanity"
)

const (
	node  = "node-1"
	group = "vg0"
	mib   = int64(1) << 20
	gib   = int64(1) << 30
)

const configuration = `
volumeGroups:
- name: vg0
  spare: 1Gi
deviceClasses:
- {name: ssd, volumeGroup: vg0, default: true}
`

// TestAgent runs the suite against controller, agent and node service in this process: all of Berth's driver but for
// LVM, mounts and the API server, which are in memory.
func TestAgent(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	directory := t.TempDir()
	manager := lvmfake.New(directory)
	manager.AddVolumeGroup(group, 100*gib)
	api, kube := fake.New(), kubefake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, UID: "uid-1"}})
	volumes, storages := client.NewLogicalVolumeInformer(api, fields.Everything()), client.NewNodeStorageInformer(api, fields.Everything())
	controller, err := csi.NewController(csi.ControllerOptions{
		Client: api, Kubernetes: kube, Volumes: volumes, Storages: storages,
		Namespace: v1alpha1.Namespace, AgentPatience: csi.DefaultAgentPatience, AgentStale: csi.DefaultAgentStale,
	})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(directory, "config.yaml")
	if err := os.WriteFile(config, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	formatted := &formats{}
	nodeAgent := agent.New(agent.Options{
		NodeName: node, Namespace: v1alpha1.Namespace, ConfigPath: config,
		Manager: manager, Fingerprint: manager.Fingerprint,
		Resume:         func(context.Context, []string) ([]string, error) { return nil, nil },
		ThinPoolStatus: manager.ThinPoolStatus, RAIDStatus: manager.RAIDStatus,
		Formatter: formatted, Eraser: formatted, Clock: &agent.ClockMeter{},
		Client: api, Kubernetes: kube, Recorder: record.NewFakeRecorder(100000), Registerer: prometheus.NewRegistry(),
	})
	identity := csi.NewIdentity("test", controller.Ready)
	running := start(ctx,
		nodeAgent.Run,
		func(ctx context.Context) error { volumes.RunWithContext(ctx); return nil },
		func(ctx context.Context) error { storages.RunWithContext(ctx); return nil },
		func(ctx context.Context) error {
			services := csi.Services{Identity: identity, Controller: controller}
			return csi.Serve(ctx, filepath.Join(directory, "c"), services, csi.NewMetrics(prometheus.NewRegistry()))
		},
		func(ctx context.Context) error {
			services := csi.Services{Identity: identity, Node: csi.NewNode(node, volumesOf{nodeAgent}, newMemoryMounter(formatted))}
			return csi.Serve(ctx, filepath.Join(directory, "n"), services, csi.NewMetrics(prometheus.NewRegistry()))
		})
	t.Cleanup(func() {
		cancel()
		for range cap(running) {
			if err := <-running; err != nil {
				t.Error(err)
			}
		}
	})
	awaitReport(t, api)

	sanity.Run(t, sanity.Services{
		NodeEndpoint:       "unix://" + filepath.Join(directory, "n"),
		ControllerEndpoint: "unix://" + filepath.Join(directory, "c"),
		Directory:          directory,
		VolumeBytes:        64 * mib,
		ExpandedBytes:      128 * mib,
	})

	report, err := manager.Report(ctx, []string{group})
	if err != nil {
		t.Fatal(err)
	}
	if left := report.VolumeGroups[group].LogicalVolumes; len(left) != 0 {
		t.Errorf("logical volumes are left: %v", left)
	}
}

// start runs parts until ctx ends; the channel has room for the error of each.
func start(ctx context.Context, parts ...func(context.Context) error) chan error {
	running := make(chan error, len(parts))
	for _, part := range parts {
		go func() { running <- part(ctx) }()
	}
	return running
}

func awaitReport(t *testing.T, api client.Interface) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		report, err := api.NodeStorages().Get(context.Background(), node, metav1.GetOptions{})
		if err == nil && len(report.Status.DeviceClasses) == 1 && len(report.Status.VolumeGroups) == 1 {
			return
		}
	}
	t.Fatal("the agent does not report")
}

type volumesOf struct{ *agent.Agent }

func (v volumesOf) Stageable(ctx context.Context, volumeID string) (csi.StageInfo, error) {
	info, err := v.Agent.Stageable(ctx, volumeID)
	return csi.StageInfo(info), err
}
