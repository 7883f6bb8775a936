package csi

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// Defaults of JanitorOptions.
const (
	// DefaultJanitorPeriod is the time between two sweeps.
	DefaultJanitorPeriod = time.Minute
	// DefaultJanitorGrace is how long a volume or a departed node is left alone: longer than an API server's or a
	// controller's absence usually takes.
	DefaultJanitorGrace = 10 * time.Minute
)

// Reasons of removals, as events and metrics name them.
const (
	reasonUnclaimed    = "Unclaimed"
	reasonRefused      = "Refused"
	reasonNodeDeparted = "NodeDeparted"
)

// JanitorOptions is what a Janitor is made of.
type JanitorOptions struct {
	Client     client.Interface
	Kubernetes kubernetes.Interface
	// Volumes and Storages are the controller's informers; the janitor only reads their caches.
	Volumes  cache.SharedIndexInformer
	Storages cache.SharedIndexInformer
	Events   record.EventRecorder
	Metrics  *Metrics
	Period   time.Duration
	Grace    time.Duration
}

// Janitor removes what nobody will ask for again. One runs per cluster, under its own leader election.
//
// The informers' caches only suggest; what is removed is decided on reads that the API server answers from its
// store, and a read that fails keeps the volume. Every removal carries the object's resourceVersion, so that a volume
// that is staged meanwhile stays.
//
//   - A volume that is Ready, was never staged, and has neither claim nor PersistentVolume is ordered Absent. It is
//     left when a claim is deleted while its volume is being provisioned.
//   - An object that its agent refused, and that the controller did not live to delete, is deleted.
//   - An object of a node that is gone is deleted when no PersistentVolume names it, or its removal was ordered:
//     nobody is left to carry out the order, and PersistentVolume and object would wait for each other.
//
// A snapshot that was accepted goes by an order only, whatever its node: what names it is a VolumeSnapshotContent, which
// cannot be asked for where its custom resource is not installed.
//
// A claim that still points to a node that is gone is csi-provisioner's to reschedule.
type Janitor struct {
	volumes    client.LogicalVolumes
	kubernetes kubernetes.Interface
	storages   client.Lister[*v1alpha1.NodeStorage]
	informer   cache.SharedIndexInformer
	events     record.EventRecorder
	metrics    *Metrics
	period     time.Duration
	grace      time.Duration

	// running is held by Run: a term that ended may still be in its last sweep when the next begins.
	running sync.Mutex
	// departed holds when a node was first seen gone in this term: each term begins the grace anew.
	departed map[string]time.Time
}

// NewJanitor makes a janitor; Run runs it.
func NewJanitor(options JanitorOptions) *Janitor {
	return &Janitor{
		volumes:    options.Client.LogicalVolumes(),
		kubernetes: options.Kubernetes,
		storages:   client.NodeStorageLister(options.Storages),
		informer:   options.Volumes,
		events:     options.Events,
		metrics:    options.Metrics,
		period:     options.Period,
		grace:      options.Grace,
		departed:   map[string]time.Time{},
	}
}

// Run sweeps until ctx ends, which is one term of leadership. The informers must have synced.
func (j *Janitor) Run(ctx context.Context) {
	j.running.Lock()
	defer j.running.Unlock()
	j.departed = map[string]time.Time{}
	wait.JitterUntilWithContext(ctx, j.Sweep, j.period, 0.2, true)
}

// Sweep looks at every volume once.
func (j *Janitor) Sweep(ctx context.Context) {
	all := make([]*v1alpha1.LogicalVolume, 0, len(j.informer.GetIndexer().ListKeys()))
	for _, object := range j.informer.GetIndexer().List() {
		all = append(all, object.(*v1alpha1.LogicalVolume))
	}
	handles := &volumeHandles{kubernetes: j.kubernetes}
	gone := j.departedNodes(ctx, all)
	for _, lv := range all {
		var err error
		if gone[lv.Spec.NodeName] {
			err = j.departedVolume(ctx, lv, handles)
		} else {
			err = j.leftVolume(ctx, lv, handles)
		}
		if err != nil && !errors.Is(err, errChanged) && !errors.Is(err, lvm.ErrNotFound) {
			klog.FromContext(ctx).Error(err, "Cannot tell whether a volume is to be removed; it is kept", "volumeID", lv.Name)
		}
	}
}

// leftVolume removes a volume of a node that is there, if nobody can want it.
func (j *Janitor) leftVolume(ctx context.Context, lv *v1alpha1.LogicalVolume, handles *volumeHandles) error {
	if time.Since(lv.CreationTimestamp.Time) < j.grace || lv.Spec.State == v1alpha1.StateAbsent {
		return nil
	}
	switch {
	case lv.Status.Phase == v1alpha1.PhaseFailed:
		return j.delete(ctx, lv, reasonRefused)
	case lv.Status.Phase != v1alpha1.PhaseReady || lv.Status.Staged || lv.IsSnapshot():
		return nil
	}
	claimed, err := j.claimed(ctx, lv)
	if err != nil || claimed {
		return err
	}
	named, err := handles.contains(ctx, lv.Name)
	if err != nil || named {
		return err
	}
	if err := orderAbsent(ctx, j.volumes, lv); err != nil {
		return err
	}
	j.report(ctx, lv, reasonUnclaimed, "ordered Absent: never staged, and neither its claim nor a PersistentVolume is there")
	return nil
}

// claimed asks the API server whether the claim that a volume was made for is there. A claim that is not known counts
// as there.
func (j *Janitor) claimed(ctx context.Context, lv *v1alpha1.LogicalVolume) (bool, error) {
	ref := lv.Spec.ClaimRef
	if ref.UID == "" || ref.Namespace == "" || ref.Name == "" {
		return true, nil
	}
	claim, err := j.kubernetes.CoreV1().PersistentVolumeClaims(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return true, apiError(err, "get PersistentVolumeClaim %s/%s", ref.Namespace, ref.Name)
	}
	return claim.UID == ref.UID, nil
}

// departedNodes returns the nodes of volumes that have been gone for the grace.
func (j *Janitor) departedNodes(ctx context.Context, all []*v1alpha1.LogicalVolume) map[string]bool {
	gone, absent := map[string]bool{}, map[string]time.Time{}
	for _, lv := range all {
		node := lv.Spec.NodeName
		// A node that reports storage is there; the garbage collector takes the report away with the node.
		if _, err := j.storages.Get(node); err == nil || !absent[node].IsZero() {
			continue
		}
		if _, err := j.kubernetes.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{}); !isGone(err) {
			continue
		}
		absent[node] = time.Now()
		if since, ok := j.departed[node]; ok {
			absent[node] = since
		}
		gone[node] = time.Since(absent[node]) >= j.grace
	}
	j.departed = absent
	return gone
}

// departedVolume deletes the object of a volume whose node is gone. Should the node come back with its disks, its agent
// lists the LV as an orphan or makes the object again.
func (j *Janitor) departedVolume(ctx context.Context, lv *v1alpha1.LogicalVolume, handles *volumeHandles) error {
	ordered := lv.Spec.State == v1alpha1.StateAbsent
	made := lv.Status.Phase == v1alpha1.PhaseAccepted || lv.Status.Phase == v1alpha1.PhaseReady
	if made && !ordered && lv.IsSnapshot() {
		return nil
	}
	if made && !ordered {
		named, err := handles.contains(ctx, lv.Name)
		if err != nil || named {
			return err
		}
	}
	return j.delete(ctx, lv, reasonNodeDeparted)
}

func (j *Janitor) delete(ctx context.Context, lv *v1alpha1.LogicalVolume, reason string) error {
	if err := deleteUnchanged(ctx, j.volumes, lv); err != nil {
		return err
	}
	j.report(ctx, lv, reason, "object deleted; nothing is removed from a disk by that")
	return nil
}

// report leaves a trace of a removal where people look: log, event and metric.
func (j *Janitor) report(ctx context.Context, lv *v1alpha1.LogicalVolume, reason, text string) {
	klog.FromContext(ctx).Info("Janitor removed a volume", "volumeID", lv.Name, "node", lv.Spec.NodeName, "reason", reason, "action", text)
	j.events.Event(lv, corev1.EventTypeNormal, reason, text)
	j.metrics.removals.WithLabelValues(reason).Inc()
}
