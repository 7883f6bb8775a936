package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/csi"
)

// janitorLease is the Lease of the janitor's leader election, apart from those of the sidecars: a janitor that stands
// still holds up no provisioning.
const janitorLease = "berth-janitor"

// leaseReleaseGrace is how long the process waits for the janitor's Lease to be given back when it stops.
const leaseReleaseGrace = 500 * time.Millisecond

// newControllerCommand is `driver controller`.
func newControllerCommand() *cobra.Command {
	options := defaultControllerOptions()
	command := &cobra.Command{
		Use:   "controller",
		Short: "Serve the CSI Controller service beside csi-provisioner, csi-resizer and csi-snapshotter",
		Long: `Serve the CSI Controller service on a unix socket, for csi-provisioner, csi-resizer and csi-snapshotter in the same pod.

Calls become LogicalVolume objects, which the nodes' agents carry out. Every replica serves its own sidecars; one of
them, by leader election, also removes volumes that nobody will ask for again.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.validate(); err != nil {
				return err
			}
			return runController(command.Context(), options)
		},
	}
	options.addFlags(command.Flags())
	return command
}

// controllerParts is what the goroutines of a controller share.
type controllerParts struct {
	options    *controllerOptions
	registry   *prometheus.Registry
	metrics    *csi.Metrics
	kubernetes kubernetes.Interface
	volumes    cache.SharedIndexInformer
	storages   cache.SharedIndexInformer
	controller *csi.Controller
	janitor    *csi.Janitor
	broadcast  record.EventBroadcaster
}

func runController(ctx context.Context, options *controllerOptions) error {
	parts, err := newControllerParts(ctx, options)
	if err != nil {
		return err
	}
	defer parts.broadcast.Shutdown()
	group, ctx := errgroup.WithContext(ctx)
	// Not waited for at the end: they only read, and an informer whose API server is away stops at its own leisure.
	go parts.volumes.RunWithContext(ctx)
	go parts.storages.RunWithContext(ctx)
	group.Go(func() error {
		identity := csi.NewIdentity(version(), parts.controller.Ready)
		return csi.Serve(ctx, options.endpoint, csi.Services{Identity: identity, Controller: parts.controller}, parts.metrics)
	})
	// An answer is health enough: while the API server or the CRDs are away a restart mends nothing, and the sidecars
	// are told by Probe.
	healthy := func() error { return nil }
	group.Go(func() error { return serveHTTP(ctx, options.httpAddress, parts.registry, healthy) })
	janitor := make(chan struct{})
	go func() {
		defer close(janitor)
		parts.runJanitor(ctx)
	}()
	err = group.Wait()
	// The other replica's janitor takes over at once if the Lease is given back, and later if it is not: an API server
	// that does not answer must not keep this process.
	select {
	case <-janitor:
	case <-time.After(leaseReleaseGrace):
	}
	return err
}

func newControllerParts(ctx context.Context, options *controllerOptions) (*controllerParts, error) {
	config, err := clientcmd.BuildConfigFromFlags("", options.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("configuration of the API client: %w", err)
	}
	config.QPS, config.Burst = options.kubeAPIQPS, options.kubeAPIBurst
	config.UserAgent = "berth-controller/" + version()
	berth, err := client.New(config)
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of Kubernetes: %w", err)
	}
	parts := &controllerParts{
		options:    options,
		registry:   prometheus.NewRegistry(),
		kubernetes: kube,
		volumes:    client.NewLogicalVolumeInformer(berth, fields.Everything()),
		storages:   client.NewNodeStorageInformer(berth, fields.Everything()),
		broadcast:  record.NewBroadcaster(record.WithContext(ctx)),
	}
	parts.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	parts.metrics = csi.NewMetrics(parts.registry)
	parts.controller, err = csi.NewController(csi.ControllerOptions{
		Client: berth, Kubernetes: kube, Volumes: parts.volumes, Storages: parts.storages,
		Namespace: options.namespace, AgentPatience: options.agentPatience, AgentStale: options.agentStale,
	})
	if err != nil {
		return nil, err
	}
	parts.broadcast.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: kube.CoreV1().Events("")})
	parts.janitor = csi.NewJanitor(csi.JanitorOptions{
		Client: berth, Kubernetes: kube, Volumes: parts.volumes, Storages: parts.storages,
		Events:  parts.broadcast.NewRecorder(client.Scheme, corev1.EventSource{Component: "berth-controller"}),
		Metrics: parts.metrics, Period: options.janitorPeriod, Grace: options.janitorGrace,
	})
	return parts, nil
}

// runJanitor stands for election again and again until ctx ends. Losing the lease stops the janitor, not the process:
// the CSI service needs no leader.
func (p *controllerParts) runJanitor(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), p.volumes.HasSynced, p.storages.HasSynced) {
		return
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: p.options.namespace, Name: janitorLease},
		Client:     p.kubernetes.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: p.options.identity},
	}
	for ctx.Err() == nil {
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock:            lock,
			Name:            janitorLease,
			LeaseDuration:   15 * time.Second,
			RenewDeadline:   10 * time.Second,
			RetryPeriod:     2 * time.Second,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					klog.FromContext(ctx).V(2).Info("Janitor leads", "identity", p.options.identity)
					p.janitor.Run(ctx)
				},
				OnStoppedLeading: func() {
					klog.FromContext(ctx).V(2).Info("Janitor does not lead", "identity", p.options.identity)
				},
			},
		})
	}
}
