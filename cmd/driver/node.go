package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/exec"

	"github.com/berth-dev/berth/pkg/agent"
	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/csi"
	"github.com/berth-dev/berth/pkg/disks"
	"github.com/berth-dev/berth/pkg/lvm/dm"
	"github.com/berth-dev/berth/pkg/lvm/lvmcli"
)

// newNodeCommand is `driver node`.
func newNodeCommand() *cobra.Command {
	options := defaultNodeOptions()
	command := &cobra.Command{
		Use:   "node",
		Short: "Make this node's volumes, report its volume groups and serve the CSI Node service",
		Long: `Make and remove this node's logical volumes as LogicalVolume objects order, report its volume groups as a
NodeStorage, and mount volumes for the kubelet, with which it registers itself.

It runs the host's LVM: it needs root, the host's /dev, /run/lock/lvm, /run/lvm, /run/udev and /etc/lvm, and
/var/lib/kubelet with bidirectional mount propagation. One runs per node; a second one refuses to start.`,
		Example: `  driver node --node-name=$(hostname) --config=/etc/berth/config.yaml --kubeconfig=$HOME/.kube/config`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.validate(); err != nil {
				return err
			}
			return runNode(command.Context(), options)
		},
	}
	options.addFlags(command.Flags())
	return command
}

func runNode(ctx context.Context, options *nodeOptions) error {
	release, err := agent.LockNode(options.lockFile)
	if err != nil {
		return err
	}
	defer release()
	ctx = klog.NewContext(ctx, klog.LoggerWithValues(klog.FromContext(ctx), "node", options.nodeName))
	klog.FromContext(ctx).Info("Starting", "version", version())
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	broadcast := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcast.Shutdown()
	node, err := newAgent(options, registry, broadcast)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return node.Run(ctx) })
	group.Go(func() error {
		services := csi.Services{
			Identity: csi.NewIdentity(version(), func() bool { return node.Ready() == nil }),
			Node:     csi.NewNode(options.nodeName, volumesOf{node}, csi.NewMounter()),
		}
		return csi.Serve(ctx, options.endpoint, services, csi.NewMetrics(registry))
	})
	if options.registrationSocket != "" {
		registration := &agent.Registration{Socket: options.registrationSocket, Endpoint: options.endpointForKubelet()}
		group.Go(func() error { return registration.Serve(ctx) })
	}
	// An answer is health enough: while the API server, the CRDs or a volume group are away a restart mends nothing.
	healthy := func() error { return nil }
	group.Go(func() error { return serveHTTP(ctx, options.httpAddress, registry, healthy) })
	return group.Wait()
}

// newAgent makes the agent with its doors: LVM, mkfs, the API server.
func newAgent(options *nodeOptions, registry prometheus.Registerer, broadcast record.EventBroadcaster) (*agent.Agent, error) {
	config, err := clientcmd.BuildConfigFromFlags("", options.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("configuration of the API client: %w", err)
	}
	// A node's burst is some tens of volumes of a few writes each; more at once only fills the API server's queues.
	config.QPS, config.Burst = 50, 200
	config.UserAgent = "berth-node/" + version()
	clock := &agent.ClockMeter{}
	config.Wrap(clock.Wrap)
	berth, err := client.New(config)
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of Kubernetes: %w", err)
	}
	observer, err := lvmcli.NewObserver(registry)
	if err != nil {
		return nil, fmt.Errorf("metrics of LVM: %w", err)
	}
	broadcast.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: kube.CoreV1().Events("")})
	return agent.New(agent.Options{
		NodeName:       options.nodeName,
		Namespace:      options.namespace,
		ConfigPath:     options.config,
		Manager:        lvmcli.New(lvmcli.Options{Observe: observer}),
		Fingerprint:    lvmcli.Fingerprint,
		Resume:         dm.ResumeOurs,
		ThinPoolStatus: dm.ThinPoolStatus,
		RAIDStatus:     dm.RAIDStatus,
		Formatter:      agent.MkfsFormatter{Exec: exec.New()},
		Eraser:         agent.DeviceEraser{},
		Disks:          disks.NewHost(exec.New()),
		Clock:          clock,
		Client:         berth,
		Kubernetes:     kube,
		Recorder:       broadcast.NewRecorder(client.Scheme, corev1.EventSource{Component: "berth-node", Host: options.nodeName}),
		Registerer:     registry,
	}), nil
}

// volumesOf gives the CSI service the agent's volumes; neither package knows the other.
type volumesOf struct {
	*agent.Agent
}

func (v volumesOf) Stageable(ctx context.Context, volumeID string) (csi.StageInfo, error) {
	info, err := v.Agent.Stageable(ctx, volumeID)
	if errors.Is(err, agent.ErrNotReady) {
		err = fmt.Errorf("%w: %w", csi.ErrPrecondition, err)
	}
	return csi.StageInfo(info), err
}
