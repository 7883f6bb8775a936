package capacity

import "k8s.io/apimachinery/pkg/types"

// Reserve evaluates once more under the lock and promises all of the demand's claims to the pod, or none. The
// verdict's Reason is Fits when it did. The claims' ResourceVersions must not be older than those that selected-node
// will be written with.
func (l *Ledger) Reserve(nodeName string, podUID types.UID, demand Demand) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	verdict := l.reserve(nodeName, podUID, demand, false)
	if verdict.Reason == Fits {
		l.endWaiting(podUID)
	}
	return verdict
}

// Simulate is Reserve for a placement that is only tried: nothing is written for it, Unreserve takes it back within
// the same scheduling cycle, and the pod goes on waiting.
func (l *Ledger) Simulate(nodeName string, podUID types.UID, demand Demand) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	verdict := l.reserve(nodeName, podUID, demand, true)
	if verdict.Reason == Fits {
		l.nodes[nodeName].simulations[podUID] = struct{}{}
	}
	return verdict
}

func (l *Ledger) reserve(nodeName string, podUID types.UID, demand Demand, simulated bool) Verdict {
	verdict, _ := l.evaluate(nodeName, demand, nil)
	if verdict.Reason != Fits {
		return verdict
	}
	n := l.node(nodeName)
	for _, claim := range demand.Claims {
		if l.speaksForItself(claim, nodeName) {
			continue
		}
		id := claim.VolumeID()
		p := n.promise(id)
		p.deviceClass, p.sizeBytes = claim.DeviceClass, claim.SizeBytes
		p.reserve(podUID, reservation{claim.ResourceVersion, simulated})
		l.settle(nodeName, id)
	}
	return verdict
}

// speaksForItself: the claim as last seen is not older than what the pod goes by, and is bound or selected here. No
// event will answer a reservation of it, and none is needed.
func (l *Ledger) speaksForItself(claim Claim, nodeName string) bool {
	seen, known := l.claims[claim.UID]
	return known && (seen.bound || seen.node == nodeName && seen.version >= claim.ResourceVersion)
}

// Unreserve takes a pod's reservation back. The write of selected-node may be on its way, so the bytes count on until
// an event or looseFor says otherwise; of a simulated one nothing was written and nothing stays.
// It is idempotent and may come without Reserve.
func (l *Ledger) Unreserve(nodeName string, podUID types.UID, demand Demand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.nodes[nodeName]
	if n == nil {
		return
	}
	delete(n.simulations, podUID)
	for _, claim := range demand.Claims {
		id := claim.VolumeID()
		p := n.promises[id]
		if p == nil {
			continue
		}
		r, ok := p.reservedBy[podUID]
		if !ok {
			continue
		}
		delete(p.reservedBy, podUID)
		if r.simulated {
			// No improvement: what a simulation held was free before it, and nobody has looked in between but those
			// that chooseWoken remembers.
			l.settleQuietly(nodeName, id)
			continue
		}
		if l.writeKnown(claim, nodeName, r.version) {
			l.settle(nodeName, id)
			continue
		}
		p.looseUntil = instantOf(l.now().Add(looseFor))
		p.looseVersion = max(p.looseVersion, r.version)
		l.settle(nodeName, id)
	}
	l.signal()
}

// writeKnown: the claim was seen at or after the version with which selected-node was to be written.
func (l *Ledger) writeKnown(claim Claim, nodeName string, version uint64) bool {
	seen, known := l.claims[claim.UID]
	return known && (seen.version > version || seen.version == version && seen.node == nodeName)
}
