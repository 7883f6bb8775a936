package capacity

import "github.com/berth-dev/berth/pkg/lvm"

// tallyGroups is how many volume groups of a node a tally holds.
const tallyGroups = 4

// tally sums what a demand takes of a node's volume groups. Where all its volumes are linear the sums decide, and
// Filter, which asks thousands of nodes, allocates nothing and reads little. Everything else is for evaluate.
type tally struct {
	groups [tallyGroups]tallied
	used   int
}

type tallied struct {
	offer *offer
	bytes int64
}

// add charges a size to an offer's volume group; false when it cannot be told.
func (t *tally) add(o *offer, size int64) bool {
	rounded, err := lvm.RoundUp(size, o.extentBytes)
	if err != nil || size <= 0 {
		return false
	}
	for i := range t.used {
		if t.groups[i].offer.group == o.group {
			t.groups[i].bytes = lvm.SaturatingAdd(t.groups[i].bytes, rounded)
			return true
		}
	}
	if t.used == tallyGroups {
		return false
	}
	t.groups[t.used] = tallied{o, rounded}
	t.used++
	return true
}

// tallyUp evaluates a demand by sums. ok is false when they do not decide, for a volume that is not linear or one that
// is promised on the node already, or when the answer is no: evaluate says why. Caller holds mu.
func (l *Ledger) tallyUp(nodeName string, demand *Demand, t *tally) (fits, ok bool) {
	n := l.nodes[nodeName]
	if n.unknown(l.now(), demand.StaleAfter) != Fits {
		return false, false
	}
	for i := range demand.Claims {
		claim := &demand.Claims[i]
		if claim.Origin.VolumeID != "" {
			// See hold.
			return false, false
		}
		o := n.offer(claim.DeviceClass)
		if o == nil || !o.linear || o.freeBytes < 0 || l.isSpecial(nodeName, n, claim) || !t.add(o, claim.SizeBytes) {
			return false, false
		}
	}
	for i := range t.used {
		if t.groups[i].bytes > t.groups[i].offer.freeBytes {
			return false, true
		}
	}
	return true, true
}

// isSpecial tells whether a claim has a promise on the node, or is barred from it. Both are rare, and are found without
// looking into the node where they can be ruled out.
func (l *Ledger) isSpecial(nodeName string, n *node, claim *Claim) bool {
	id := claim.VolumeID()
	if claim.SelectedNode == nodeName || l.volumes[id] == nodeName || l.claims[claim.UID].node == nodeName {
		return true
	}
	if n.special == 0 {
		return false
	}
	_, barred := n.bars[claim.UID]
	return barred || n.promises[id] != nil
}

// left is what the demand leaves behind each of its device classes on a node where it fits.
func (t *tally) left(n *node, demand *Demand) []ClassLeft {
	classes := make([]ClassLeft, 0, 1)
	for i := range demand.Claims {
		if demand.repeatsClass(i) {
			continue
		}
		o := n.offer(demand.Claims[i].DeviceClass)
		for _, g := range t.groups[:t.used] {
			if g.offer.group == o.group {
				classes = append(classes, ClassLeft{demand.Claims[i].DeviceClass, o.freeBytes - g.bytes})
			}
		}
	}
	return classes
}

// sumDecides tells whether a volume of the class takes its rounded size from anywhere in its volume group.
func (r *report) sumDecides(class string) bool {
	return r.class(class).layout == lvm.Layout{Type: lvm.LayoutLinear}
}
