package agent

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/luks"
	"github.com/berth-dev/berth/pkg/qos"
)

const (
	// limitsInterval is how often limits are looked at when nothing happens: somebody else may change them.
	limitsInterval = time.Minute
	// limitsRetry is the first pause when a pod's cgroup is not there yet; each one is twice the former.
	limitsRetry = 100 * time.Millisecond
)

// limits holds the pods on this node to spec.qos of the volumes they use. It works by level: mounts say who uses what,
// and each pass sets what is not right yet. A pod that has its volume published but no cgroup yet is waited for until it has
// one or its volume is unpublished. No pass runs LVM or asks the API server.
type limits struct {
	volumes *volumes
	apply   func([]qos.Volume) ([]qos.Result, error)
	// wake holds a token when there is reason to look.
	wake chan struct{}

	// imposed are the volumes that this process has limited. One whose spec says nothing any more is freed, and then left
	// to whoever else limits it.
	imposed map[string]bool
	// told is the trouble with each volume that an event was sent of.
	told map[string]string
}

func newLimits(volumes *volumes, apply func([]qos.Volume) ([]qos.Result, error)) *limits {
	return &limits{volumes: volumes, apply: apply, wake: make(chan struct{}, 1), imposed: map[string]bool{}, told: map[string]string{}}
}

// handler wakes the passes when a volume's limits change.
func (l *limits) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { signal(l.wake) },
		UpdateFunc: func(before, after any) {
			old, ok := before.(*v1alpha1.LogicalVolume)
			if now, isVolume := after.(*v1alpha1.LogicalVolume); ok && isVolume && !apiequality.Semantic.DeepEqual(old.Spec.QoS, now.Spec.QoS) {
				signal(l.wake)
			}
		},
	}
}

// run makes passes until ctx ends.
func (l *limits) run(ctx context.Context) {
	if l.apply == nil {
		return
	}
	pause := limitsInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			pause = limitsRetry
		case <-time.After(pause):
			pause = min(2*pause, limitsInterval)
		}
		if waiting := l.pass(ctx); !waiting {
			pause = limitsInterval
		}
	}
}

// pass sets what is not right, and returns whether a pod's cgroup is missing.
func (l *limits) pass(ctx context.Context) (waiting bool) {
	objects, err := l.volumes.lister.List(labels.Everything())
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot list volumes for their limits")
		return false
	}
	limited := map[string]*v1alpha1.LogicalVolume{}
	var wanted []qos.Volume
	l.forget(objects)
	for _, object := range objects {
		if object.Spec.QoS == nil && !l.imposed[object.Name] || object.Status.Phase != v1alpha1.PhaseReady {
			continue
		}
		limited[object.Name] = object
		wanted = append(wanted, l.volume(object))
	}
	if len(wanted) == 0 {
		return false
	}
	results, err := l.apply(wanted)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot apply the limits of volumes")
		return false
	}
	for _, result := range results {
		waiting = waiting || result.Waiting
		l.note(limited[result.ID], result)
	}
	return waiting
}

// forget drops what is remembered of volumes that are gone.
func (l *limits) forget(objects []*v1alpha1.LogicalVolume) {
	there := map[string]bool{}
	for _, object := range objects {
		there[object.Name] = true
	}
	maps.DeleteFunc(l.imposed, func(name string, _ bool) bool { return !there[name] })
	maps.DeleteFunc(l.told, func(name, _ string) bool { return !there[name] })
}

func (l *limits) volume(object *v1alpha1.LogicalVolume) qos.Volume {
	volume := qos.Volume{ID: object.Name, Devices: []string{
		l.volumes.groups.manager.DevicePath(object.Status.VolumeGroup.Name, object.Name),
	}}
	if object.Spec.Encryption != "" {
		volume.Devices = []string{luks.Path(luks.Name(object.Name))}
	}
	if q := object.Spec.QoS; q != nil {
		volume.Limits = qos.Limits{
			ReadBytes: q.ReadBytesPerSecond, WriteBytes: q.WriteBytesPerSecond,
			ReadOperations: q.ReadIOPS, WriteOperations: q.WriteIOPS,
		}
	}
	return volume
}

// note remembers how it went, and sends an event of trouble once.
func (l *limits) note(object *v1alpha1.LogicalVolume, result qos.Result) {
	if result.Err == nil {
		delete(l.told, object.Name)
		if object.Spec.QoS == nil {
			delete(l.imposed, object.Name)
		} else {
			l.imposed[object.Name] = true
		}
		return
	}
	l.imposed[object.Name] = true
	if message := result.Err.Error(); l.told[object.Name] != message {
		l.told[object.Name] = message
		l.volumes.event(object, corev1.EventTypeWarning, v1alpha1.ReasonLimitsNotApplied, message)
	}
}
