package capacity

import "github.com/berth-dev/berth/pkg/lvm"

// tallyGroups is how many volume groups of a node a tally holds.
const tallyGroups = 4

// tally sums what a demand takes of a node's volume groups. Where all its volumes are linear the sums decide, and
// Filter, which asks thousands of nodes, allocates nothing. Everything else is for evaluate.
type tally struct {
	groups [tallyGroups]tallied
	used   int
}

type tallied struct {
	group *volumeGroup
	class string
	bytes int64
}

// add charges a size to a volume group; false when it cannot be told.
func (t *tally) add(group *volumeGroup, class string, size int64) bool {
	rounded, err := lvm.RoundUp(size, group.space.ExtentSizeBytes)
	if err != nil || size <= 0 {
		return false
	}
	for i := range t.used {
		if t.groups[i].group == group {
			t.groups[i].bytes = lvm.SaturatingAdd(t.groups[i].bytes, rounded)
			return true
		}
	}
	if t.used == tallyGroups {
		return false
	}
	t.groups[t.used] = tallied{group, class, rounded}
	t.used++
	return true
}

// tallyUp evaluates a demand by sums. ok is false when they do not decide: a volume that is not linear, or one that is
// promised on the node already. Caller holds mu.
func (l *Ledger) tallyUp(nodeName string, demand *Demand, t *tally) (verdict Verdict, ok bool) {
	n, now := l.nodes[nodeName], l.now()
	if reason := n.unknown(now, demand.StaleAfter); reason != Fits {
		return Verdict{Reason: reason}, true
	}
	for i := range demand.Claims {
		claim := &demand.Claims[i]
		if _, promised := n.promises[claim.VolumeID()]; promised {
			return Verdict{}, false
		}
		group, verdict := n.groupFor(claim, now)
		if group == nil {
			return verdict, true
		}
		if !n.report.sumDecides(claim.DeviceClass) || !t.add(group, claim.DeviceClass, claim.SizeBytes) {
			return Verdict{}, false
		}
	}
	for i := range t.groups[:t.used] {
		g := &t.groups[i]
		space := n.left[g.group.name]
		if !space.SumDecides() {
			return Verdict{}, false
		}
		if free := space.FreeBytes(); g.bytes > free {
			return Verdict{
				Reason: TooFewBytes, DeviceClass: g.class, VolumeGroup: g.group.name, WantedBytes: g.bytes, FreeBytes: free,
			}, true
		}
	}
	return Verdict{}, true
}

// left is what the demand leaves behind each of its device classes on a node where it fits.
func (t *tally) left(n *node, demand *Demand) []ClassLeft {
	classes := make([]ClassLeft, 0, 1)
	for i := range demand.Claims {
		if demand.repeatsClass(i) {
			continue
		}
		class := demand.Claims[i].DeviceClass
		group, _ := n.report.group(class)
		for _, g := range t.groups[:t.used] {
			if g.group == group {
				classes = append(classes, ClassLeft{class, n.left[group.name].FreeBytes() - g.bytes})
			}
		}
	}
	return classes
}

// sumDecides tells whether a volume of the class takes its rounded size from anywhere in its volume group.
func (r *report) sumDecides(class string) bool {
	return r.class(class).layout == lvm.Layout{Type: lvm.LayoutLinear}
}
