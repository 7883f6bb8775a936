package capacity

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// ObserveVolume takes in a LogicalVolume as it now is. Its events come in order from one watch.
func (l *Ledger) ObserveVolume(object *v1alpha1.LogicalVolume) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := newVolume(object, l.now())
	if node, ok := l.volumes[v.id]; ok && node != v.node {
		// The object was deleted and made again for another node between two looks.
		l.dropVolume(v.id, node, true)
	}
	l.volumes[v.id] = v.node
	p := l.node(v.node).promise(v.id)
	if old := p.volume; old != nil && !old.readyAt.IsZero() && !v.readyAt.IsZero() {
		v.readyAt = old.readyAt
	}
	freshRefusal := v.failed() && (p.volume == nil || !p.volume.failed())
	// The object speaks for itself from now on.
	p.volume, p.bridgedUntil, p.vanished, p.vanishedAt = v, time.Time{}, nil, time.Time{}
	if freshRefusal {
		l.refuse(v)
	}
	l.settle(v.node, v.id)
	l.signal()
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
	last := newVolume(object, l.now())
	if p := l.node(node).promise(last.id); certain && p.volume != nil {
		last.readyAt = p.volume.readyAt
		if last.failed() && !p.volume.failed() {
			l.refuse(last)
		}
		p.volume = last
	}
	l.dropVolume(last.id, node, certain)
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
	if v != nil && !v.failed() && !(certain && v.endsWithObject()) {
		p.vanished, p.vanishedAt = v, l.now()
	}
	l.settle(nodeName, id)
}

// endsWithObject: once the object is gone nothing is on disk.
func (v *volume) endsWithObject() bool {
	return v.state == v1alpha1.StateAbsent || v.phase == v1alpha1.PhasePending
}

// refuse notes that the agent refused a claim's volume. Reports taken after the volume was ordered know what the
// agent knew.
func (l *Ledger) refuse(v *volume) {
	l.refusals++
	if v.claimUID != "" {
		l.bar(v.claimUID, v.node, v.createdAt)
	}
}

// bar keeps a claim off a node until a report observed after notBefore.
func (l *Ledger) bar(claim types.UID, node string, notBefore time.Time) {
	l.bars[barKey{claim, node}] = bar{notBefore: notBefore, expires: l.now().Add(barredFor)}
}
