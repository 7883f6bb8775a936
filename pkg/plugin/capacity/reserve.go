package capacity

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Reserve evaluates once more under the lock and promises all of the demand's claims to the pod, or none. The
// verdict's Reason is Fits when it did.
func (l *Ledger) Reserve(nodeName string, podUID types.UID, demand Demand) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	verdict, _ := l.evaluate(nodeName, demand, nil)
	if verdict.Reason != Fits {
		return verdict
	}
	n := l.node(nodeName)
	for _, claim := range demand.Claims {
		id := claim.VolumeID()
		p := n.promise(id)
		p.deviceClass, p.sizeBytes = claim.DeviceClass, claim.SizeBytes
		if !p.selected && !p.placed() {
			if p.reservedBy == nil {
				p.reservedBy = map[types.UID]struct{}{}
			}
			p.reservedBy[podUID] = struct{}{}
			p.reservedVersion = claim.ResourceVersion
			p.looseUntil = time.Time{}
		}
		l.settle(nodeName, id)
	}
	delete(l.waiters, podUID)
	return verdict
}

// Unreserve takes a pod's reservation back. The write of selected-node may be on its way, so the bytes count on until
// an event or looseFor says otherwise; with simulated true nothing was written and they are free at once.
// It is idempotent and may come without Reserve.
func (l *Ledger) Unreserve(nodeName string, podUID types.UID, demand Demand, simulated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.nodes[nodeName]
	if n == nil {
		return
	}
	for _, claim := range demand.Claims {
		id := claim.VolumeID()
		p := n.promises[id]
		if p == nil {
			continue
		}
		if _, ok := p.reservedBy[podUID]; !ok {
			continue
		}
		delete(p.reservedBy, podUID)
		if len(p.reservedBy) == 0 && !p.selected && !simulated {
			p.looseUntil = l.now().Add(looseFor)
		}
		l.settle(nodeName, id)
	}
}
