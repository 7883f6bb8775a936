package capacity

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// volume is the part of a LogicalVolume that decisions read.
type volume struct {
	uid               types.UID
	node, deviceClass string
	// snapshot: it is one, and origin is the VolumeSnapshot.
	snapshot       bool
	origin         Origin
	sizeBytes      int64
	allocatedBytes int64
	group          v1alpha1.VolumeGroupReference
	// pending: no agent has accepted it. failed: refused for good, nothing is on disk. absent: its removal is ordered.
	pending, failed, absent bool
	// growthRefused: the agent answered the present size with a refusal, so that no bytes are on their way.
	growthRefused bool
	// sizedAt is when this process first saw it Ready with its allocated size.
	sizedAt instant
	// formerBytes is what the node's report included of it just before it had its allocated size.
	formerBytes int64
}

func newVolume(object *v1alpha1.LogicalVolume, now time.Time) *volume {
	v := &volume{
		uid: object.UID, node: object.Spec.NodeName, deviceClass: object.Spec.DeviceClass,
		sizeBytes: object.Spec.SizeBytes, allocatedBytes: object.Status.AllocatedBytes,
		group:         object.Status.VolumeGroup,
		pending:       object.Status.Phase == v1alpha1.PhasePending,
		failed:        object.Status.Phase == v1alpha1.PhaseFailed,
		absent:        object.Spec.State == v1alpha1.StateAbsent,
		growthRefused: object.GrowthRefused(),
	}
	if object.IsSnapshot() {
		v.snapshot, v.origin = true, originOf(object)
	}
	if object.Status.Phase == v1alpha1.PhaseReady {
		v.sizedAt = instantOf(now)
	}
	return v
}

// targetBytes is the size to which the volume may grow without another question.
func (v *volume) targetBytes() int64 {
	if v.growthRefused {
		return min(v.sizeBytes, v.allocatedBytes)
	}
	return v.sizeBytes
}

// endsWithObject: once the object is gone nothing is on disk.
func (v *volume) endsWithObject() bool { return v.absent || v.pending }

// ObserveVolume takes in a LogicalVolume as it now is. Its events come in order from one watch.
func (l *Ledger) ObserveVolume(object *v1alpha1.LogicalVolume) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, v := object.Name, newVolume(object, l.now())
	if node, ok := l.volumes[id]; ok && node != v.node {
		// The object was deleted and made again for another node, and we missed the end of the first.
		l.dropVolume(id, node, false)
	}
	l.volumes[id] = v.node
	n := l.node(v.node)
	p := n.promise(id)
	old := p.volume
	if old != nil && old.uid == v.uid {
		l.inherit(n, id, p, v)
	} else {
		l.dropOrigin(id, old)
		l.noteOrigin(object)
	}
	if v.failed && (old == nil || old.uid != v.uid || !old.failed) {
		l.refuse(object)
	}
	p.volume = v
	if !v.sizedAt.none() {
		// Until then another attempt of the claim's may be meant than the one that the bridge is for.
		p.bridgedUntil = 0
	}
	if !v.sizedAt.none() || v.failed {
		p.vanished, p.vanishedAt = nil, 0
	}
	l.settle(v.node, id)
	l.signal()
}

// inherit keeps what was known of a volume that is still the same: since when it has its size and, when it has just
// grown, what the report at hand included before. p has its earlier state.
func (l *Ledger) inherit(n *node, id string, p *promise, v *volume) {
	old := p.volume
	if old.sizedAt.none() || v.sizedAt.none() {
		return
	}
	if old.allocatedBytes == v.allocatedBytes && old.group == v.group {
		v.sizedAt, v.formerBytes = old.sizedAt, old.formerBytes
		return
	}
	v.formerBytes = min(old.formerBytes, v.allocatedBytes)
	if n.report == nil {
		return
	}
	if group := n.report.groupByUUID(v.group.Name, v.group.UUID); group != nil {
		v.formerBytes = min(p.includedBytes(id, group, n.report.observedAt), v.allocatedBytes)
	}
}

// ForgetVolume follows the deletion of a LogicalVolume object, whose last state is given. certain is false when that
// state may be older than the deletion, after a broken watch.
func (l *Ledger) ForgetVolume(object *v1alpha1.LogicalVolume, certain bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	node, ok := l.volumes[object.Name]
	if !ok {
		return
	}
	p := l.node(node).promise(object.Name)
	if old := p.volume; certain && old != nil {
		last := newVolume(object, l.now())
		if last.failed && !old.failed {
			l.refuse(object)
		}
		last.sizedAt, last.formerBytes = old.sizedAt, old.formerBytes
		p.volume = last
	}
	l.dropVolume(object.Name, node, certain)
	l.signal()
}

// dropVolume ends what a LogicalVolume object promised. Nothing is on disk when it failed, was withdrawn before the
// agent accepted it, or was ordered Absent, in which case the agent removes the object last. Otherwise the object's
// absence says nothing of the LV, which counts on until a report taken later.
func (l *Ledger) dropVolume(id, nodeName string, certain bool) {
	delete(l.volumes, id)
	p := l.node(nodeName).promise(id)
	v := p.volume
	p.volume = nil
	l.dropOrigin(id, v)
	if v != nil && !v.failed && !(certain && v.endsWithObject()) {
		p.vanished, p.vanishedAt = v, instantOf(l.now())
	}
	l.settle(nodeName, id)
}
