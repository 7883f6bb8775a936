package capacity

import (
	"slices"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Evaluate answers whether a demand fits a node now. Claims of the demand that are promised here already are not
// counted against themselves, and those that have a LogicalVolume here ask for nothing more.
func (l *Ledger) Evaluate(nodeName string, demand Demand) Verdict {
	l.mu.RLock()
	defer l.mu.RUnlock()
	verdict, _ := l.evaluate(nodeName, demand, nil)
	return verdict
}

// Left returns what the demand would leave on a node where it fits, and whether it does.
func (l *Ledger) Left(nodeName string, demand Demand) (Left, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	verdict, spaces := l.evaluate(nodeName, demand, nil)
	if verdict.Reason != Fits {
		return Left{}, false
	}
	n := l.nodes[nodeName]
	left := Left{BeingMade: n.beingMade}
	for _, claim := range demand.Claims {
		if p := n.promises[claim.VolumeID()]; p != nil && p.beingMade() {
			left.BeingMade--
		}
		if left.has(claim.DeviceClass) {
			continue
		}
		group, ok := n.report.group(claim.DeviceClass)
		if !ok {
			continue
		}
		space, ok := spaces[group.name]
		if !ok {
			space = n.left[group.name]
		}
		left.Classes = append(left.Classes, ClassLeft{claim.DeviceClass, space.FreeBytes()})
	}
	return left, true
}

func (l *Left) has(class string) bool {
	return slices.ContainsFunc(l.Classes, func(c ClassLeft) bool { return c.DeviceClass == class })
}

// want is what a demand asks of one volume group.
type want struct {
	group *volumeGroup
	class string
	sizes []int64
}

// evaluate is Evaluate; it also returns what is left of the volume groups it used. overlay replaces what the node's
// volume groups offer, where it has them. Caller holds mu.
func (l *Ledger) evaluate(nodeName string, demand Demand, overlay map[string]lvm.Space) (Verdict, map[string]lvm.Space) {
	n := l.nodes[nodeName]
	now := l.now()
	if n == nil || n.report == nil {
		return Verdict{Reason: NoReport}, nil
	}
	if n.stale(now, demand.StaleAfter) {
		return Verdict{Reason: StaleAgent}, nil
	}
	wants, own, verdict := l.wants(nodeName, n, demand, now)
	if verdict.Reason != Fits {
		return verdict, nil
	}
	offered := n.left
	if len(own) > 0 {
		// The demand's own promises are inside offered and overlay; without them is a fresh sum.
		offered, overlay = n.place(own), nil
	}
	left := make(map[string]lvm.Space, len(wants))
	for _, w := range wants {
		space, ok := overlay[w.group.name]
		if !ok {
			space = offered[w.group.name]
		}
		_, after, err := space.Fit(w.sizes)
		if err != nil {
			return Verdict{
				Reason: TooFewBytes, DeviceClass: w.class, VolumeGroup: w.group.name,
				WantedBytes: sum(w.sizes, space.ExtentSizeBytes), FreeBytes: space.FreeBytes(),
			}, nil
		}
		left[w.group.name] = after
	}
	return Verdict{}, left
}

// wants sorts a demand's claims by volume group, and names those of them that are promised on the node already.
func (l *Ledger) wants(nodeName string, n *node, demand Demand, now time.Time) ([]want, map[string]struct{}, Verdict) {
	var wants []want
	var own map[string]struct{}
	for _, claim := range demand.Claims {
		id := claim.VolumeID()
		if p := n.promises[id]; p != nil {
			if p.placed() {
				continue
			}
			if own == nil {
				own = map[string]struct{}{}
			}
			own[id] = struct{}{}
		}
		group, ok := n.report.group(claim.DeviceClass)
		if !ok {
			return nil, nil, Verdict{Reason: ClassNotServed, DeviceClass: claim.DeviceClass}
		}
		if !group.usable {
			return nil, nil, Verdict{Reason: VolumeGroupUnusable, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
		}
		if b, ok := l.bars[barKey{claim.UID, nodeName}]; ok && b.stands(n.report, now) {
			return nil, nil, Verdict{Reason: Refused, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
		}
		wants = addWant(wants, group, claim)
	}
	return wants, own, Verdict{}
}

func addWant(wants []want, group *volumeGroup, claim Claim) []want {
	for i := range wants {
		if wants[i].group == group {
			wants[i].sizes = append(wants[i].sizes, claim.SizeBytes)
			return wants
		}
	}
	return append(wants, want{group, claim.DeviceClass, []int64{claim.SizeBytes}})
}

// stands tells whether the bar still keeps its claim off.
func (b bar) stands(r *report, now time.Time) bool {
	return !b.lifted && now.Before(b.expires) && !(r != nil && r.observedAt.After(b.notBefore))
}

// sum rounds the sizes up to extents and adds them, saturating.
func sum(sizes []int64, extent int64) int64 {
	var total int64
	for _, size := range sizes {
		rounded, err := lvm.RoundUp(size, extent)
		if err != nil {
			rounded = size
		}
		total = lvm.SaturatingAdd(total, rounded)
	}
	return total
}
