package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
)

// Options are the doors of an agent to the world. All are required but where said.
type Options struct {
	NodeName string
	// Namespace is where the agent's Lease lives.
	Namespace string
	// ConfigPath is the file of volume groups and device classes.
	ConfigPath string

	Manager lvm.Manager
	// Fingerprint changes when the metadata on a physical volume does; it must not run LVM.
	Fingerprint func(device string) (string, error)
	// Resume resumes those of the named device-mapper devices that are suspended, and returns which.
	Resume func(ctx context.Context, devices []string) (resumed []string, err error)
	// ThinPoolStatus and RAIDStatus ask the kernel; os.ErrNotExist when the device is not active.
	ThinPoolStatus func(volumeGroup, pool string) (dm.ThinPool, error)
	RAIDStatus     func(volumeGroup, volume string) (dm.RAID, error)

	Formatter Formatter
	Eraser    Eraser
	// Disks may be nil where no volume group is made of disks and no LV adopted.
	Disks Disks

	// Clock measures what goes through Client and Kubernetes.
	Clock *ClockMeter

	Client     client.Interface
	Kubernetes kubernetes.Interface
	Recorder   record.EventRecorder
	Registerer prometheus.Registerer
}

// Agent is the node's side of Berth. Make one with New and run it once.
type Agent struct {
	options   Options
	config    *configSource
	groups    *groups
	reserves  *reserves
	recents   *recents
	pools     *pools
	legs      *legs
	publisher *publisher
	volumes   *volumes
	supply    *supply
	metrics   *metrics

	volumeInformer  cache.SharedIndexInformer
	storageInformer cache.SharedIndexInformer

	// started is closed when LVs are active and objects are known.
	started chan struct{}
	// news holds a token when volume groups were reported or objects changed.
	news chan struct{}
}

// New makes an agent; it does not touch LVM or the API server yet.
func New(options Options) *Agent {
	a := &Agent{
		options: options,
		config:  &configSource{path: options.ConfigPath},
		recents: newRecents(),
		started: make(chan struct{}),
		news:    make(chan struct{}, 1),
	}
	a.groups = newGroups(options.Manager, options.Fingerprint, func() { signal(a.news) })
	a.metrics = newMetrics(options.Registerer, func() time.Duration { return time.Since(a.groups.sighting().at) })
	a.reserves = &reserves{groups: a.groups, config: a.configInForce, known: map[string]*reserve{}}
	a.volumeInformer = client.NewLogicalVolumeInformer(options.Client, client.OnNode(options.NodeName))
	a.storageInformer = client.NewNodeStorageInformer(options.Client, client.Named(options.NodeName))
	a.publisher = &publisher{
		client: options.Client.NodeStorages(), recorder: options.Recorder, node: a.node, status: a.status, problems: func() []problem { return a.pools.problems() },
		name: options.NodeName, wake: make(chan struct{}, 1), force: make(chan struct{}, 1), others: a.otherConditions,
	}
	options.Clock.onTurn(a.publisher.notify)
	a.legs = &legs{groups: a.groups, status: options.RAIDStatus, turned: func() { signal(a.news) }}
	a.pools = &pools{
		groups: a.groups, reserves: a.reserves, config: a.configInForce, manager: options.Manager,
		objects: client.LogicalVolumeLister(a.volumeInformer), status: options.ThinPoolStatus, metrics: a.metrics,
		changed: a.publisher.notify, turned: func() { signal(a.news) },
	}
	a.volumes = &volumes{
		nodeName: options.NodeName, client: options.Client.LogicalVolumes(), lister: client.LogicalVolumeLister(a.volumeInformer),
		groups: a.groups, pools: a.pools, legs: a.legs, config: a.configInForce, formatter: options.Formatter, eraser: options.Eraser, recorder: options.Recorder,
		publisher: a.publisher, metrics: a.metrics, queue: newQueue(), timings: &timings{began: map[string]time.Time{}},
		written: &written{last: map[string]version{}},
		orphans: map[string]v1alpha1.OrphanEntry{}, disks: options.Disks,
	}
	a.supply = newSupply(options.Disks, a.groups, a.volumes.livesIn)
	return a
}

// Run works until ctx ends. It returns an error only when the agent cannot begin; what goes wrong later is reported
// where it belongs and tried again.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.prepare(ctx); err != nil {
		return err
	}
	a.volumes.builds = newBuilds(ctx, a.volumes.queue.Add)
	if err := a.watchObjects(); err != nil {
		return err
	}
	a.publisher.insist()
	var parts sync.WaitGroup
	for _, part := range []func(context.Context){
		a.volumeInformer.RunWithContext, a.storageInformer.RunWithContext, a.publisher.run, a.watchLVM, a.renewLease,
	} {
		parts.Go(func() { part(ctx) })
	}
	if cache.WaitForCacheSync(ctx.Done(), a.volumeInformer.HasSynced) {
		close(a.started)
		signal(a.news)
		parts.Go(func() { a.inspectNews(ctx) })
		parts.Go(func() { a.watchDevices(ctx) })
		a.volumes.run(ctx)
	}
	parts.Wait()
	return nil
}

// Ready returns nil when volumes can be staged, else why not.
func (a *Agent) Ready() error {
	select {
	case <-a.started:
		return nil
	default:
		return errors.New("the agent has not started: volume groups or objects are not known yet")
	}
}

// Stageable says where a volume's device is and marks the volume as staged; see volumes.Stageable for the errors.
func (a *Agent) Stageable(ctx context.Context, volumeID string) (StageInfo, error) {
	if err := a.Ready(); err != nil {
		return StageInfo{}, fmt.Errorf("%w: %w", err, lvm.ErrBusy)
	}
	return a.volumes.Stageable(ctx, volumeID)
}

// Unstaged says that a volume is not mounted any more.
func (a *Agent) Unstaged(volumeID string) {
	if a.Ready() == nil {
		a.volumes.Unstaged(volumeID)
	}
}

// node reads the agent's own Node.
func (a *Agent) node(ctx context.Context) (*corev1.Node, error) {
	node, err := a.options.Kubernetes.CoreV1().Nodes().Get(ctx, a.options.NodeName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return node, nil
}

// configInForce is the configuration with what is left of its growth reserves.
func (a *Agent) configInForce() Config {
	config, _ := a.config.current()
	return a.reserves.apply(config)
}

// status builds what the publisher publishes.
func (a *Agent) status() (status v1alpha1.NodeStorageStatus, configErr, reportErr error) {
	_, configErr = a.config.current()
	s := a.groups.sighting()
	a.recents.update(s)
	a.reserves.observe(s)
	status = buildStatus(a.configInForce(), s, a.recents.newestFirst, func(vg string) []v1alpha1.OrphanEntry {
		return a.volumes.orphansIn(s.groups[vg].vg)
	}, a.pools.published)
	a.metrics.show(status)
	return status, configErr, s.err
}

func (a *Agent) otherConditions() []metav1.Condition {
	conditions := []metav1.Condition{a.options.Clock.condition()}
	if devices, ok := a.supply.condition(a.configInForce()); ok {
		conditions = append(conditions, devices)
	}
	return conditions
}

// watchObjects turns changes of objects into work.
func (a *Agent) watchObjects() error {
	enqueue := func(object any) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		if accessor, err := meta.Accessor(object); err == nil {
			a.volumes.queue.Add(accessor.GetName())
		}
	}
	_, err := a.volumeInformer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) }, DeleteFunc: enqueue,
	})
	if err != nil {
		return err
	}
	// A NodeStorage that goes, with its Node or by hand, is made again.
	_, err = a.storageInformer.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(any) { a.publisher.insist() }})
	return err
}
