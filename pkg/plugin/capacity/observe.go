package capacity

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// ObserveReport takes in a NodeStorage as it now is. Older ones than the last are passed over, by resourceVersion and
// never by seqno, which a restore of LVM's metadata sets back.
func (l *Ledger) ObserveReport(object *v1alpha1.NodeStorage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.node(object.Name)
	next := newReport(object, n.report)
	if n.report != nil && next.version < n.report.version {
		return
	}
	reshaped := n.report == nil || !maps.Equal(n.report.classes, next.classes) || n.report.defaultClass != next.defaultClass
	n.report = next
	l.expirePromises(object.Name, n)
	l.liftBars(object.Name, n)
	l.recompute(object.Name, n)
	if reshaped {
		l.improve(object.Name)
	}
	l.signal()
}

// ForgetReport follows the deletion of a NodeStorage: the node's free bytes are unknown. Promises stay.
func (l *Ledger) ForgetReport(nodeName string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.nodes[nodeName]; n != nil {
		n.report = nil
		l.recompute(nodeName, n)
	}
}

// expirePromises drops what the node's new report has ended.
func (l *Ledger) expirePromises(name string, n *node) {
	for key := range l.timed {
		if key.node != name {
			continue
		}
		if p := n.promises[key.volumeID]; p != nil && p.expire(l.now(), n.report) {
			l.settle(name, key.volumeID)
		}
	}
}

// liftBars marks the bars that the node's new report has ended. They are kept until they expire, so that the claim's
// event that follows a refusal does not raise a second one.
func (l *Ledger) liftBars(name string, n *node) {
	for key, b := range l.bars {
		if key.node == name && !b.lifted && !b.stands(n.report, l.now()) {
			b.lifted = true
			l.bars[key] = b
			l.improve(name)
		}
	}
}

// ObserveLease takes in the renew time of an agent's Lease. Renewals are dated by this host's clock when they arrive,
// so that a skewed agent's clock makes nothing fresh or stale; only the first is believed as written.
func (l *Ledger) ObserveLease(nodeName string, renewed time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, now := l.node(nodeName), l.now()
	if renewed.Equal(n.leaseRenewal) {
		return
	}
	seen := now
	if n.leaseRenewal.IsZero() && renewed.Before(now) {
		seen = renewed
	}
	if seen.Sub(n.agentSeenAt) > renewalPeriod {
		// It may have been stale for somebody.
		l.improve(nodeName)
	}
	n.agentSeenAt, n.leaseRenewal = seen, renewed
	l.signal()
}

// ForgetLease follows the deletion of an agent's Lease.
func (l *Ledger) ForgetLease(nodeName string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.nodes[nodeName]; n != nil {
		n.agentSeenAt, n.leaseRenewal = time.Time{}, time.Time{}
		l.recompute(nodeName, n)
	}
}

// knowsClaim tells whether the claim was taken in before.
func (l *Ledger) knowsClaim(uid types.UID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.claims[uid]
	return ok
}

// ObserveClaim takes in a claim of one of our classes. bound tells that it has a PersistentVolume. A SizeBytes of 0
// means that the claim's class has gone: what was known of class and size stays.
func (l *Ledger) ObserveClaim(claim Claim, bound bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.claims[claim.UID]
	if known && claim.ResourceVersion < old.version {
		return
	}
	selected := claim.SelectedNode
	if known && old.node != "" && (old.node != selected || bound && !old.bound) {
		l.deselect(claim.UID, old, bound)
	}
	l.claims[claim.UID] = claimRecord{selected, claim.ResourceVersion, bound}
	if selected != "" && !bound {
		p := l.node(selected).promise(claim.VolumeID())
		if p.selected = true; claim.SizeBytes > 0 {
			p.deviceClass, p.sizeBytes = claim.DeviceClass, claim.SizeBytes
		}
		// The reservation and what was left of it have landed.
		p.reservedBy, p.looseUntil = nil, time.Time{}
		l.settle(selected, claim.VolumeID())
	}
	l.dropLoose(claim, selected)
	l.signal()
}

// deselect ends what a claim's selected-node promised, because it was cleared or the claim was bound.
func (l *Ledger) deselect(uid types.UID, old claimRecord, bound bool) {
	id := volumeID(uid)
	n := l.node(old.node)
	p := n.promise(id)
	wasSelected := p.selected
	p.selected = false
	if bound {
		// The volume is made; its LogicalVolume may not have been seen yet.
		if wasSelected && p.volume == nil {
			p.bridgedUntil = l.now().Add(bridgeFor)
		}
	} else if _, refused := l.bars[barKey{uid, old.node}]; wasSelected && !refused {
		// csi-provisioner gave the node up. What it knew, this process may not have seen.
		l.bar(uid, old.node, l.now())
	}
	l.settle(old.node, id)
}

// dropLoose ends un-reserved promises elsewhere: the claim changed since Reserve and does not name those nodes, so a
// write that was made with the older resourceVersion has failed or will.
func (l *Ledger) dropLoose(claim Claim, selected string) {
	for key := range l.timed {
		if key.volumeID != claim.VolumeID() || key.node == selected {
			continue
		}
		p := l.nodes[key.node].promises[key.volumeID]
		if !p.looseUntil.IsZero() && claim.ResourceVersion > p.reservedVersion {
			p.looseUntil = time.Time{}
			l.settle(key.node, key.volumeID)
		}
	}
}

// ForgetClaim follows the deletion of a claim. CreateVolume may be running for it, so its bytes count on until its
// LogicalVolume speaks for itself or bridgeFor is over.
func (l *Ledger) ForgetClaim(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.claims[uid]
	delete(l.claims, uid)
	for key := range l.bars {
		if key.claim == uid {
			delete(l.bars, key)
		}
	}
	if !known || old.node == "" {
		return
	}
	id := volumeID(uid)
	p := l.node(old.node).promise(id)
	if p.selected && p.volume == nil {
		p.bridgedUntil = l.now().Add(bridgeFor)
	}
	p.selected = false
	l.settle(old.node, id)
	l.signal()
}
