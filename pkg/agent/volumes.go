package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

const (
	// workers bounds the volumes that are worked on at once. They mostly wait, for a volume group's lock or for LVM;
	// there are enough that a volume group whose commands hang does not hold up another. What is slow by nature
	// runs beside them (builds).
	workers = 64
	// retryLeast and retryMost bound the pauses between attempts at one volume.
	retryLeast = 200 * time.Millisecond
	retryMost  = time.Minute
)

// volumes makes LVM what this node's LogicalVolume objects order. One volume is worked on by one worker at a time.
//
// The work is level-triggered: each pass looks at the object and at the disk and does the next step. An error after
// any step leaves a state from which the next pass goes on.
type volumes struct {
	nodeName  string
	client    client.LogicalVolumes
	lister    client.Lister[*v1alpha1.LogicalVolume]
	groups    *groups
	pools     *pools
	legs      *legs
	config    func() Config
	formatter Formatter
	eraser    Eraser
	disks     Disks
	recorder  record.EventRecorder
	publisher interface {
		notify()
		insist()
	}
	metrics *metrics
	queue   workqueue.TypedRateLimitingInterface[string]
	builds  *builds
	timings *timings
	written *written

	mu      sync.Mutex
	orphans map[string]v1alpha1.OrphanEntry
}

func newQueue() workqueue.TypedRateLimitingInterface[string] {
	return workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryLeast, retryMost))
}

// run works until ctx ends; it returns when no worker is active any more.
func (v *volumes) run(ctx context.Context) {
	var active sync.WaitGroup
	for range workers {
		active.Go(func() {
			for v.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	v.queue.ShutDown()
	active.Wait()
}

func (v *volumes) next(ctx context.Context) bool {
	name, shutdown := v.queue.Get()
	if shutdown {
		return false
	}
	defer v.queue.Done(name)
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "volumeID", name)
	err := v.reconcile(klog.NewContext(ctx, logger), name)
	switch {
	case err == nil:
		v.queue.Forget(name)
	case errors.Is(err, errWorking), ctx.Err() != nil:
	case apierrors.IsConflict(err):
		// The cache is behind; what it lacks is on its way and comes back here.
		logger.V(4).Info("Object is newer than the cache", "err", err)
		v.queue.AddRateLimited(name)
	default:
		logger.Info("Volume is tried again", "err", err)
		v.queue.AddRateLimited(name)
	}
	return true
}

// Retry works on a volume soon, whatever pause it is in.
func (v *volumes) Retry(volumeID string) {
	v.queue.Forget(volumeID)
	v.queue.Add(volumeID)
}

// reconcile does what one volume needs.
func (v *volumes) reconcile(ctx context.Context, name string) error {
	object, err := v.lister.Get(name)
	if apierrors.IsNotFound(err) {
		return v.recover(ctx, name)
	}
	if err != nil {
		return err
	}
	if v.written.behind(object) {
		v.queue.AddAfter(name, writtenFor)
		return nil
	}
	v.setOrphan(name, nil)
	v.setOrphan(lvm.GrowName(name), nil)
	if object.Spec.State == v1alpha1.StateAbsent {
		return v.settle(ctx, object, "delete", v.remove)
	}
	switch object.Status.Phase {
	case v1alpha1.PhasePending:
		accepted, err := v.accept(ctx, object)
		if err != nil {
			return err
		}
		return v.settle(ctx, accepted, "create", v.create)
	case v1alpha1.PhaseAccepted:
		return v.settle(ctx, object, "create", v.create)
	case v1alpha1.PhaseReady:
		return v.settle(ctx, object, "expand", v.maintain)
	}
	return nil
}

// accept takes the work, before LVM is touched: the write conflicts if the controller withdrew the object.
func (v *volumes) accept(ctx context.Context, object *v1alpha1.LogicalVolume) (*v1alpha1.LogicalVolume, error) {
	accepted := object.DeepCopy()
	accepted.Status.Phase = v1alpha1.PhaseAccepted
	accepted.Status.ObservedGeneration = object.Generation
	klog.FromContext(ctx).V(2).Info("Accept volume", "deviceClass", object.Spec.DeviceClass, "size", exactBytes(object.Spec.SizeBytes))
	return v.updateStatus(ctx, accepted)
}

// errWorking: the step goes on elsewhere and its end comes back here. Nothing is wrong, and the count of failures
// before stays.
var errWorking = errors.New("work is going on")

// settle runs a step and writes its failure to the object.
func (v *volumes) settle(ctx context.Context, object *v1alpha1.LogicalVolume, operation string,
	step func(context.Context, *v1alpha1.LogicalVolume) (done bool, err error),
) error {
	v.timings.begin(object.Name)
	done, err := step(ctx, object)
	if errors.Is(err, errWorking) {
		return err
	}
	if err == nil {
		if took := v.timings.end(object.Name); done {
			v.metrics.succeeded(operation, took)
		}
		return nil
	}
	if isAPIError(err) || ctx.Err() != nil {
		return err
	}
	o := outcomeOf(err)
	v.metrics.operation(operation, o.code)
	if err := v.writeOutcome(ctx, object, o); err != nil {
		return err
	}
	if o.final {
		v.timings.end(object.Name)
		klog.FromContext(ctx).Info("Volume is refused", "code", o.code, "err", o.err)
		return nil
	}
	return o
}

func isAPIError(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// writeOutcome records a failure in the object's status, and as an event on the object and its claim.
func (v *volumes) writeOutcome(ctx context.Context, object *v1alpha1.LogicalVolume, o *outcome) error {
	_, changed, err := v.changeStatus(ctx, object, func(status *v1alpha1.LogicalVolumeStatus, generation int64) {
		if o.final && status.Phase != v1alpha1.PhaseReady {
			status.Phase = v1alpha1.PhaseFailed
		}
		status.Code, status.Message = o.code.String(), clip(o.err.Error())
		status.ObservedGeneration = generation
	})
	if err != nil {
		return err
	}
	if changed && o.reason != "" {
		v.event(object, corev1.EventTypeWarning, o.reason, o.err.Error())
	}
	return nil
}

// event records what happened where a person looks: on the LogicalVolume and on its claim.
func (v *volumes) event(object *v1alpha1.LogicalVolume, eventType, reason, message string) {
	v.recorder.Event(referenceTo(object), eventType, reason, clip(message))
	claim := object.Spec.ClaimRef
	if claim.Name == "" {
		return
	}
	v.recorder.Event(&corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
	}, eventType, reason, clip(message))
}

func referenceTo(object *v1alpha1.LogicalVolume) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: v1alpha1.LogicalVolumeKind.Kind, Name: object.Name, UID: object.UID,
	}
}

// setOrphan lists an LV as orphan, or with nil no longer.
func (v *volumes) setOrphan(name string, entry *v1alpha1.OrphanEntry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if entry == nil {
		delete(v.orphans, name)
		return
	}
	v.orphans[name] = *entry
}

// orphansIn lists the orphans that a volume group holds.
func (v *volumes) orphansIn(vg lvm.VolumeGroup) []v1alpha1.OrphanEntry {
	v.mu.Lock()
	defer v.mu.Unlock()
	var entries []v1alpha1.OrphanEntry
	for _, lv := range owned(vg) {
		if entry, ok := v.orphans[lv.Name]; ok {
			entry.SizeBytes = lv.SizeBytes
			entries = append(entries, entry)
		}
	}
	return entries
}
