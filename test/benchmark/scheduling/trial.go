package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// system is a scheduler under test.
type system struct {
	name string
	ours bool
	// storageCapacity is what the CSIDriver object says; for ours it says what is shipped.
	storageCapacity bool
}

// trial is one run.
type trial struct {
	system
	nodes, pods int
	// claims: each pod has one.
	claims bool
	limit  time.Duration
	// mayEndEarly: pods not placed at the limit are no error.
	mayEndEarly bool
}

// warmUpPods are placed before the clock starts: after them the scheduler has read everything and its caches are warm.
// With upstream's check of capacity each may take many seconds on a busy machine.
const (
	warmUpPods  = 3
	warmUpLimit = 2 * time.Minute
)

// measured begins the names of the pods that count, and of their claims.
const measured = "pod"

// run does one trial on a cluster of its own.
func (b *bench) run(ctx context.Context, t trial) (result, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	c, err := b.cluster(ctx, t.nodes)
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(c.dir)
	defer c.Stop()
	r, err := b.runOn(ctx, fail, c, t)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return r, fmt.Errorf("%s, %d nodes, %d pods: %w", t.name, t.nodes, t.pods, err)
	}
	b.progressf("%s: %d of %d pods on %d nodes in %.1f s", t.name, r.placed, t.pods, t.nodes, r.elapsed.Seconds())
	return r, nil
}

func (b *bench) runOn(ctx context.Context, fail context.CancelCauseFunc, c *cluster, t trial) (result, error) {
	if !t.ours {
		if err := c.setStorageCapacity(ctx, t.storageCapacity); err != nil {
			return result{}, err
		}
	}
	// The driver ends before the cluster does.
	ctx, cancel := context.WithCancel(ctx)
	d, err := c.startDriver(ctx, fail, t.pods+warmUpPods)
	if err != nil {
		cancel()
		return result{}, err
	}
	defer d.work.Wait()
	defer cancel()
	pods, err := d.watchPods(ctx)
	if err != nil {
		return result{}, err
	}
	s, err := b.startScheduler(ctx, c, t)
	if err != nil {
		return result{}, err
	}
	defer s.Kill()
	r, err := b.measure(ctx, d, pods, s, t)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, s.Tail())
	}
	return r, err
}

// warmUp places some pods that are not measured, and makes the measured ones' claims.
func (d *driver) warmUp(ctx context.Context, pods *podWatch, t trial) error {
	if t.claims {
		if err := d.createClaims(ctx, "warm-up", warmUpPods); err != nil {
			return err
		}
	}
	if err := d.createPods(ctx, "warm-up", warmUpPods, t.claims); err != nil {
		return err
	}
	if pods.await(ctx, warmUpPods, warmUpLimit) < warmUpPods {
		return errors.New("the first pods are not placed in time")
	}
	if !t.claims {
		return nil
	}
	return d.createClaims(ctx, measured, t.pods)
}

// measure makes the pods and waits until they are placed.
func (b *bench) measure(ctx context.Context, d *driver, pods *podWatch, s *scheduler, t trial) (result, error) {
	if err := d.warmUp(ctx, pods, t); err != nil {
		return result{}, err
	}
	before, err := s.usage(ctx)
	if err != nil {
		return result{}, err
	}
	profiled := b.profile(ctx, s, t)
	start := time.Now()
	created := make(chan error, 1)
	go func() { created <- d.createPods(ctx, measured, t.pods, t.claims) }()
	placed := pods.await(ctx, warmUpPods+t.pods, t.limit)
	r := result{trial: t, placed: placed - warmUpPods, elapsed: time.Since(start)}
	if r.placed == t.pods {
		r.elapsed = pods.last().Sub(start)
	}
	after, err := s.usage(ctx)
	if err != nil {
		return r, err
	}
	if err := errors.Join(<-created, <-profiled); err != nil {
		return r, err
	}
	if r.placed < t.pods && !t.mayEndEarly {
		return r, fmt.Errorf("%d of %d pods placed within %v", r.placed, t.pods, t.limit)
	}
	r.cpu, r.cycle, r.peakBytes = after.cpu-before.cpu, after.cycleSince(before), after.peakBytes
	r.claimToPod = d.claimToPod(pods)
	r.heapBytes, err = s.liveHeap(ctx)
	return r, err
}

func (d *driver) createClaims(ctx context.Context, prefix string, count int) error {
	return inParallel(ctx, count, func(i int) error {
		_, err := d.kube.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, claim(podName(prefix, i)), metav1.CreateOptions{})
		return err
	})
}

func (d *driver) createPods(ctx context.Context, prefix string, count int, claims bool) error {
	return inParallel(ctx, count, func(i int) error {
		_, err := d.kube.CoreV1().Pods(namespace).Create(ctx, pod(podName(prefix, i), claims), metav1.CreateOptions{})
		return err
	})
}

func podName(prefix string, i int) string { return fmt.Sprintf("%s-%05d", prefix, i) }

// podWatch notes when pods are bound to a node.
type podWatch struct {
	mu      sync.Mutex
	boundAt map[string]time.Time
	latest  time.Time
	changed chan struct{}
}

func (d *driver) watchPods(ctx context.Context) (*podWatch, error) {
	w := &podWatch{boundAt: map[string]time.Time{}, changed: make(chan struct{}, 1)}
	informer := informers.NewSharedInformerFactoryWithOptions(d.kube, 0, informers.WithNamespace(namespace)).Core().V1().Pods().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { w.note(object.(*v1.Pod)) },
		UpdateFunc: func(_, object any) { w.note(object.(*v1.Pod)) },
	}); err != nil {
		return nil, err
	}
	d.work.Go(func() { informer.RunWithContext(ctx) })
	return w, nil
}

func (w *podWatch) note(pod *v1.Pod) {
	if pod.Spec.NodeName == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.boundAt[pod.Name]; known {
		return
	}
	w.latest = time.Now()
	w.boundAt[pod.Name] = w.latest
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// await waits for so many bound pods, up to a limit, and returns how many there are.
func (w *podWatch) await(ctx context.Context, count int, limit time.Duration) int {
	timeout := time.After(limit)
	for {
		w.mu.Lock()
		bound := len(w.boundAt)
		w.mu.Unlock()
		if bound >= count {
			return bound
		}
		select {
		case <-w.changed:
		case <-timeout:
			return bound
		case <-ctx.Done():
			return bound
		}
	}
}

// last is when the last pod so far was bound.
func (w *podWatch) last() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest
}

// claimToPod is how long after its claim each measured pod was bound.
func (d *driver) claimToPod(pods *podWatch) []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	pods.mu.Lock()
	defer pods.mu.Unlock()
	var times []time.Duration
	for name, claim := range d.boundAt {
		if pod, ok := pods.boundAt[name]; ok && strings.HasPrefix(name, measured) {
			times = append(times, max(pod.Sub(claim), 0))
		}
	}
	return times
}
