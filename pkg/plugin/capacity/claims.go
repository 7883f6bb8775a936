package capacity

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// ObserveClaim takes in a claim of one of our classes. bound tells that it has a PersistentVolume. A SizeBytes of 0
// means that the claim's class has gone: what was known of class and size stays.
func (l *Ledger) ObserveClaim(claim Claim, bound bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.claims[claim.UID]
	if known && claim.ResourceVersion < old.version {
		return
	}
	id, selected := claim.VolumeID(), claim.SelectedNode
	l.claims[claim.UID] = claimRecord{selected, claim.ResourceVersion, bound}
	if known && old.node != "" && !old.bound && old.node != selected {
		l.deselect(claim.UID, id, old.node)
	}
	if selected != "" && !bound {
		p := l.node(selected).promise(id)
		if p.selected = true; claim.SizeBytes > 0 {
			p.deviceClass, p.sizeBytes = claim.DeviceClass, claim.SizeBytes
		}
		l.settle(selected, id)
	}
	if selected != "" && bound && (known && !old.bound || !known && l.synced) {
		l.bind(claim, id)
	}
	// Last, so that no bytes are free between the reservation's end and what follows it.
	l.answer(claim, id)
	l.signal()
}

// deselect follows selected-node going from a node, which csi-provisioner has given up. What it knew, this process may
// not have seen, so the claim is barred there unless it is already.
func (l *Ledger) deselect(uid types.UID, id, nodeName string) {
	n := l.node(nodeName)
	p := n.promise(id)
	if _, barred := n.bars[uid]; p.selected && !barred {
		l.bar(uid, nodeName)
	}
	p.selected = false
	l.settle(nodeName, id)
}

// bind follows a claim's being bound: its volume is made, but its LogicalVolume may not have been seen yet.
func (l *Ledger) bind(claim Claim, id string) {
	p := l.node(claim.SelectedNode).promise(id)
	if p.sizeBytes == 0 {
		p.deviceClass, p.sizeBytes = claim.DeviceClass, claim.SizeBytes
	}
	if p.selected = false; !p.made() {
		p.bridgedUntil = instantOf(l.now().Add(bridgeFor))
	}
	l.settle(claim.SelectedNode, id)
}

// answer ends the reservations of a claim, on whatever nodes, whose write its present state tells about.
func (l *Ledger) answer(claim Claim, id string) {
	for _, nodeName := range slices.Clone(l.reservedOn[id]) {
		if l.nodes[nodeName].promises[id].answered(claim.ResourceVersion, nodeName == claim.SelectedNode) {
			l.settle(nodeName, id)
		}
	}
}

// ForgetClaim follows the deletion of a claim. CreateVolume may be running for it, and order once more what was refused,
// so its bytes count on until its LogicalVolume is Ready or bridgeFor is over.
func (l *Ledger) ForgetClaim(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.claims[uid]
	delete(l.claims, uid)
	id := volumeID(uid)
	// A reservation's write may have landed before the deletion without our seeing it; none will any more.
	nodes := slices.Clone(l.reservedOn[id])
	if known && old.node != "" && !slices.Contains(nodes, old.node) {
		nodes = append(nodes, old.node)
	}
	for _, nodeName := range nodes {
		p := l.node(nodeName).promise(id)
		if (p.selected || p.reserved()) && !p.made() {
			p.bridgedUntil = instantOf(l.now().Add(bridgeFor))
		}
		p.selected, p.reservedBy, p.looseUntil = false, nil, 0
		l.settle(nodeName, id)
	}
	l.signal()
}
