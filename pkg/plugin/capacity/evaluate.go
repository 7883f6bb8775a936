package capacity

import (
	"errors"
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
	verdict, wants := l.evaluate(nodeName, demand, nil)
	if verdict.Reason != Fits {
		return Left{}, false
	}
	n := l.nodes[nodeName]
	spaces := make(map[string]*lvm.Space, len(wants))
	for i := range wants {
		spaces[wants[i].group.name] = wants[i].left()
	}
	left := Left{BeingMade: n.beingMade}
	for _, claim := range demand.Claims {
		if p := n.promises[claim.VolumeID()]; p != nil && p.beingMade() {
			left.BeingMade--
		}
		if left.has(claim.DeviceClass) {
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
	return left, true
}

func (l *Left) has(class string) bool {
	return slices.ContainsFunc(l.Classes, func(c ClassLeft) bool { return c.DeviceClass == class })
}

// want is what a demand asks of one volume group, all its classes together.
type want struct {
	group    *volumeGroup
	class    string
	requests []lvm.Request
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
		class := n.report.class(claim.DeviceClass)
		group, ok := n.report.groups[class.group]
		if !ok {
			return nil, nil, Verdict{Reason: ClassNotServed, DeviceClass: claim.DeviceClass}
		}
		if !class.known {
			return nil, nil, Verdict{Reason: LayoutUnknown, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
		}
		if !group.usable {
			return nil, nil, Verdict{Reason: VolumeGroupUnusable, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
		}
		if b, ok := l.bars[barKey{claim.UID, nodeName}]; ok && b.stands(n.report, now) {
			return nil, nil, Verdict{Reason: Refused, DeviceClass: claim.DeviceClass, VolumeGroup: group.name}
		}
		wants = addWant(wants, group, claim.DeviceClass, lvm.Request{SizeBytes: claim.SizeBytes, Layout: class.layout})
	}
	return wants, own, Verdict{}
}

func addWant(wants []want, group *volumeGroup, class string, request lvm.Request) []want {
	for i := range wants {
		if wants[i].group == group {
			wants[i].requests = append(wants[i].requests, request)
			return wants
		}
	}
	return append(wants, want{group: group, class: class, requests: []lvm.Request{request}})
}

// stands tells whether the bar still keeps its claim off.
func (b bar) stands(r *report, now time.Time) bool {
	return !b.lifted && now.Before(b.expires) && !(r != nil && r.observedAt.After(b.notBefore))
}
