package capacity

import (
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Evaluate answers whether a demand fits a node now. Claims of the demand that are promised here already are not
// counted against themselves, and those that have their LogicalVolume here ask for nothing more.
func (l *Ledger) Evaluate(nodeName string, demand Demand) Verdict {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var t tally
	if verdict, ok := l.tallyUp(nodeName, &demand, &t); ok {
		return verdict
	}
	verdict, _ := l.evaluate(nodeName, demand, nil)
	return verdict
}

// Left returns what the demand would leave free behind each of its device classes on a node where it fits, and
// whether it does.
func (l *Ledger) Left(nodeName string, demand Demand) ([]ClassLeft, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var t tally
	if verdict, ok := l.tallyUp(nodeName, &demand, &t); ok {
		if verdict.Reason != Fits {
			return nil, false
		}
		return t.left(l.nodes[nodeName], &demand), true
	}
	verdict, left := l.evaluate(nodeName, demand, nil)
	if verdict.Reason != Fits {
		return nil, false
	}
	n := l.nodes[nodeName]
	classes := make([]ClassLeft, 0, 1)
	for i, claim := range demand.Claims {
		if demand.repeatsClass(i) {
			continue
		}
		group, ok := n.report.group(claim.DeviceClass)
		if !ok {
			continue
		}
		space, ok := left[group.name]
		if !ok {
			space = n.left[group.name]
		}
		classes = append(classes, ClassLeft{claim.DeviceClass, space.FreeBytes()})
	}
	return classes, true
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
	if reason := n.unknown(now, demand.StaleAfter); reason != Fits {
		return Verdict{Reason: reason}, nil
	}
	wants, own, verdict := n.wants(nodeName, demand, now)
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

// wants sorts a demand's claims by volume group, and names those of them that hold bytes on the node already.
func (n *node) wants(nodeName string, demand Demand, now time.Time) ([]want, map[string]struct{}, Verdict) {
	var wants []want
	var own map[string]struct{}
	for _, claim := range demand.Claims {
		id := claim.VolumeID()
		_, open := n.open[id]
		if p := n.promises[id]; p != nil && p.placed() && (claim.SelectedNode == nodeName || !open) {
			continue
		}
		// A LogicalVolume here that the claim does not point to is on its way out: it keeps its place, as long as there
		// is one.
		if open {
			if own == nil {
				own = map[string]struct{}{}
			}
			own[id] = struct{}{}
		}
		group, verdict := n.groupFor(&claim, now)
		if group == nil {
			return nil, nil, verdict
		}
		wants = addWant(wants, group, claim)
	}
	return wants, own, Verdict{}
}

// groupFor is the volume group that a claim's volume would be made in; nil, and why, when it would not.
func (n *node) groupFor(claim *Claim, now time.Time) (*volumeGroup, Verdict) {
	group, ok := n.report.group(claim.DeviceClass)
	if !ok {
		return nil, Verdict{Reason: ClassNotServed, DeviceClass: claim.DeviceClass}
	}
	if !group.usable {
		return nil, Verdict{Reason: VolumeGroupUnusable, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
	}
	if len(n.bars) > 0 {
		if b, ok := n.bars[claim.UID]; ok && b.stands(n.report, now) {
			return nil, Verdict{Reason: Refused, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
		}
	}
	return group, Verdict{}
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
