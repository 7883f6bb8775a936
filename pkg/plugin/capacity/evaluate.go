package capacity

import (
	"errors"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Evaluate answers whether a demand fits a node now. Claims of the demand that are promised here already are not
// counted against themselves, and those that have their LogicalVolume here ask for nothing more.
func (l *Ledger) Evaluate(nodeName string, demand Demand) Verdict {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var t tally
	if fits, _ := l.tallyUp(nodeName, &demand, &t); fits {
		return Verdict{}
	}
	verdict, _ := l.evaluate(nodeName, demand, nil)
	return verdict
}

// Left returns what the demand would leave on a node where it fits, and whether it does.
func (l *Ledger) Left(nodeName string, demand Demand) (Left, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var t tally
	if fits, _ := l.tallyUp(nodeName, &demand, &t); fits {
		n := l.nodes[nodeName]
		return Left{Classes: t.left(n, &demand), BeingMade: n.beingMade}, true
	}
	verdict, wants := l.evaluate(nodeName, demand, nil)
	if verdict.Reason != Fits {
		return Left{}, false
	}
	return l.nodes[nodeName].leftBy(&demand, wants), true
}

// leftBy is Left for what evaluate found.
func (n *node) leftBy(demand *Demand, wants []want) Left {
	spaces := make(map[string]*lvm.Space, len(wants))
	for i := range wants {
		spaces[wants[i].group.name] = wants[i].left()
	}
	left := Left{BeingMade: n.beingMade}
	for i, claim := range demand.Claims {
		if p := n.promises[claim.VolumeID()]; p != nil && p.counted.beingMade {
			left.BeingMade--
		}
		if demand.repeatsClass(i) {
			continue
		}
		class := n.report.class(claim.DeviceClass)
		space, ok := spaces[class.group]
		if !ok {
			space, ok = n.left[class.group]
		}
		if ok {
			left.Classes = append(left.Classes, ClassLeft{claim.DeviceClass, space.FreeBytesFor(class.layout)})
		}
	}
	return left
}

// want is what a demand asks of one volume group, all its classes together.
type want struct {
	group    *volumeGroup
	class    string
	requests []lvm.Request
	// barred: one of the claims was refused by the node.
	barred bool
	// space is what the volume group offers before.
	space *lvm.Space
}

// left is what remains of the volume group.
func (w *want) left() *lvm.Space { return w.space.Promise(w.requests) }

// evaluate is Evaluate; it also returns what the demand takes of which volume groups. overlay replaces what the node's
// volume groups offer, where it has them. Caller holds mu.
func (l *Ledger) evaluate(nodeName string, demand Demand, overlay map[string]*lvm.Space) (Verdict, []want) {
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
	for i := range wants {
		w := &wants[i]
		var ok bool
		if w.space, ok = overlay[w.group.name]; !ok {
			w.space = offered[w.group.name]
		}
		if err := w.space.Check(w.requests); err != nil {
			return w.verdict(err), nil
		}
	}
	// Last: a report that shows why the claim was refused says more.
	for i := range wants {
		if w := &wants[i]; w.barred {
			return Verdict{Reason: Refused, DeviceClass: w.class, VolumeGroup: w.group.name}, nil
		}
	}
	return Verdict{}, wants
}

// verdict says why the volume group does not take what is wanted.
func (w *want) verdict(err error) Verdict {
	v := Verdict{
		Reason: TooFewBytes, DeviceClass: w.class, VolumeGroup: w.group.name,
		WantedBytes: w.space.TakenBytes(w.requests...), FreeBytes: w.space.FreeBytes(),
	}
	var shortage *lvm.Shortage
	switch {
	case errors.As(err, &shortage):
		v.WantedBytes, v.FreeBytes = shortage.WantedBytes, shortage.FreeBytes
		if shortage.Legs {
			v.Reason = TooFewPhysicalVolumes
		}
	case errors.Is(err, lvm.ErrNotFound):
		// The class's thin pool.
		return Verdict{Reason: VolumeGroupUnusable, DeviceClass: w.class, VolumeGroup: w.group.name}
	}
	return v
}

// wants sorts a demand's claims by volume group, and names those of them that hold bytes on the node already.
func (n *node) wants(nodeName string, demand Demand, now time.Time) ([]want, map[string]struct{}, Verdict) {
	var wants []want
	var own map[string]struct{}
	for _, claim := range demand.Claims {
		id := claim.VolumeID()
		p, open := n.promises[id], n.open[id] != nil
		switch {
		case p == nil:
		case p.placed() && claim.SelectedNode == nodeName, !open && (p.placed() || n.report.listing(id) != nil):
			continue
		case open:
			// Its bytes are not counted against it. That goes for a LogicalVolume, too, to which the claim does not point:
			// it may be refused already, so its place is looked for again.
			if own == nil {
				own = map[string]struct{}{}
			}
			own[id] = struct{}{}
		}
		group, verdict := n.groupFor(&claim)
		if group == nil {
			return nil, nil, verdict
		}
		request := lvm.Request{SizeBytes: claim.SizeBytes, Layout: n.report.class(claim.DeviceClass).layout}
		b, barred := n.bars[claim.UID]
		wants = addWant(wants, group, claim.DeviceClass, request, barred && b.stands(n.report, now))
		if group, request, ok := n.hold(&claim); ok {
			wants = addWant(wants, group, claim.DeviceClass, request, false)
		}
	}
	return wants, own, Verdict{}
}

// groupFor is the volume group that a claim's volume would be made in; nil, and why, when it would not.
func (n *node) groupFor(claim *Claim) (*volumeGroup, Verdict) {
	class := n.report.class(claim.DeviceClass)
	group, ok := n.report.groups[class.group]
	if !ok {
		return nil, Verdict{Reason: ClassNotServed, DeviceClass: claim.DeviceClass}
	}
	if !class.known {
		return nil, Verdict{Reason: LayoutUnknown, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
	}
	if !group.usable {
		return nil, Verdict{Reason: VolumeGroupUnusable, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
	}
	return group, Verdict{}
}

func addWant(wants []want, group *volumeGroup, class string, request lvm.Request, barred bool) []want {
	for i := range wants {
		if wants[i].group == group {
			wants[i].requests = append(wants[i].requests, request)
			wants[i].barred = wants[i].barred || barred
			return wants
		}
	}
	return append(wants, want{group: group, class: class, requests: []lvm.Request{request}, barred: barred})
}
