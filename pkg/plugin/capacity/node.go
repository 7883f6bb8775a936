package capacity

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/lvm"
)

// node is what is known of one node's storage.
type node struct {
	report *report
	// agentSeenAt is when the agent last gave a sign of life, by this host's clock; zero when it never did.
	agentSeenAt time.Time
	// leaseRenewal is the last sign of life by the agent's clock, which tells a new one from an old one.
	leaseRenewal time.Time
	promises     map[string]*promise
	// open are the promises with bytes that the report does not include. They are few, however many volumes the node
	// has, and they are all that placing looks at.
	open map[string]*promise
	// timed are the promises that time alone can change, bars the claims that the node refused.
	timed map[string]struct{}
	bars  map[types.UID]bar
	// simulations are the pods with reservations here that end with the scheduling cycle that made them.
	simulations map[types.UID]struct{}
	// left is what each volume group offers once everything promised here is placed. It is recomputed whenever the
	// report or a promise changes, so that Filter only reads.
	left map[string]*lvm.Space
	// beingMade is how many of the promises wait for their volume.
	beingMade int
	// offers is left by device class, in one place for Filter, which asks thousands of nodes. special counts what may
	// make the answer another one for some claims: open and timed promises, and bars.
	offers  []offer
	special int
}

// offer is what a node has for a device class.
type offer struct {
	class     string
	isDefault bool
	// linear: a volume takes its rounded size from anywhere in the volume group, so that bytes alone decide.
	linear      bool
	group       *volumeGroup
	extentBytes int64
	// freeBytes is negative when nothing can be made there.
	freeBytes int64
}

// offer finds a device class's offer, or nil. An empty class is the node's default.
func (n *node) offer(class string) *offer {
	for i := range n.offers {
		if o := &n.offers[i]; o.class == class || class == "" && o.isDefault {
			return o
		}
	}
	return nil
}

// drawUp draws up offers from the node's report and what is left. Caller holds mu for writing.
func (n *node) drawUp() {
	n.offers = n.offers[:0]
	if n.report == nil {
		return
	}
	for class := range n.report.classes {
		group, ok := n.report.group(class)
		if !ok {
			continue
		}
		o := offer{class, class == n.report.defaultClass, n.report.sumDecides(class), group, group.space.ExtentSizeBytes, -1}
		if group.usable {
			left := n.left[group.name]
			o.linear, o.freeBytes = o.linear && left.SumDecides(), left.FreeBytes()
		}
		n.offers = append(n.offers, o)
	}
}

// countSpecial follows a change of what special counts. Caller holds mu for writing.
func (n *node) countSpecial() { n.special = len(n.open) + len(n.timed) + len(n.bars) }

// node returns a node's entry and makes it if need be. Caller holds mu for writing.
func (l *Ledger) node(name string) *node {
	n := l.nodes[name]
	if n == nil {
		n = &node{
			promises: map[string]*promise{}, open: map[string]*promise{}, timed: map[string]struct{}{},
			bars: map[types.UID]bar{}, simulations: map[types.UID]struct{}{}, left: map[string]*lvm.Space{},
		}
		l.nodes[name] = n
	}
	return n
}

// promise returns the promise for a volume on a node and makes it if need be. The caller sets a field of it and calls
// settle. Caller holds mu for writing.
func (n *node) promise(id string) *promise {
	p := n.promises[id]
	if p == nil {
		p = &promise{}
		n.promises[id] = p
	}
	return p
}

// unknown is why nothing can be said of the node's free bytes, or Fits. A nil node is one that nothing is known of.
func (n *node) unknown(now time.Time, staleAfter time.Duration) Reason {
	switch {
	case n == nil || n.report == nil:
		return NoReport
	case n.stale(now, staleAfter):
		return StaleAgent
	case n.report.clockOff:
		return ClockOff
	}
	return Fits
}

// stale tells whether the agent's last sign of life is older than limit.
func (n *node) stale(now time.Time, limit time.Duration) bool {
	return n.agentSeenAt.IsZero() || now.Sub(n.agentSeenAt) > limit
}

// counted is what a promise holds beside its node's report. group is empty where that is nothing.
type counted struct {
	group     string
	request   lvm.Request
	bytes     int64
	source    source
	beingMade bool
}

// recount brings what a promise holds up to date with its node's report, and tells whether that changed. Caller holds
// mu for writing.
func (l *Ledger) recount(n *node, id string, p *promise) bool {
	now := n.count(id, p)
	if now == p.counted {
		return false
	}
	l.heldBytes[p.counted.source] -= p.counted.bytes
	l.heldBytes[now.source] += now.bytes
	n.beingMade += toInt(now.beingMade) - toInt(p.counted.beingMade)
	p.counted = now
	if now.group != "" {
		n.open[id] = p
	} else {
		delete(n.open, id)
	}
	return true
}

// recountAll follows a new report. Caller holds mu for writing.
func (l *Ledger) recountAll(n *node) {
	for id, p := range n.promises {
		l.recount(n, id, p)
	}
}

func (n *node) count(id string, p *promise) counted {
	c := counted{beingMade: p.beingMade()}
	if n.report == nil {
		return c
	}
	group, request, ok := n.report.request(id, p)
	if !ok {
		return c
	}
	c.group, c.request, c.source = group.name, request, p.source()
	c.bytes = group.space.TakenBytes(request)
	return c
}

func toInt(is bool) int {
	if is {
		return 1
	}
	return 0
}
