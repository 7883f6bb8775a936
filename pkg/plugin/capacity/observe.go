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
	old := n.report
	next := newReport(object, old)
	if old != nil && next.version < old.version {
		return
	}
	n.report = next
	l.expire(object.Name, n)
	l.recountAll(n)
	if n.recompute() || reshaped(old, next) {
		l.improve(object.Name)
	}
	l.signal()
}

// reshaped tells whether a report may let in what the one before kept out for another reason than bytes.
func reshaped(old, next *report) bool {
	return old == nil || old.clockOff && !next.clockOff ||
		old.defaultClass != next.defaultClass || !maps.Equal(old.classes, next.classes)
}

// ForgetReport follows the deletion of a NodeStorage: the node's free bytes are unknown. Promises stay.
func (l *Ledger) ForgetReport(nodeName string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.nodes[nodeName]; n != nil {
		n.report = nil
		l.recountAll(n)
		n.recompute()
		l.prune(nodeName, n)
	}
}

// expire drops the promises and bars of a node that time or its report has ended. Caller holds mu for writing.
func (l *Ledger) expire(nodeName string, n *node) {
	now := l.now()
	for id := range n.timed {
		if n.promises[id].expire(now, n.report) {
			l.settle(nodeName, id)
		}
	}
	l.liftBars(nodeName, n)
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
	if seen.Sub(n.agentSeenAt) > l.leastStale {
		// It was stale for somebody, if anybody waits.
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
		l.prune(nodeName, n)
	}
}

// knowsClaim tells whether the claim was taken in before.
func (l *Ledger) knowsClaim(uid types.UID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.claims[uid]
	return ok
}
