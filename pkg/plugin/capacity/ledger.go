package capacity

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Ledger holds reports, promises, bars and waiters under one lock. Safe for concurrent use.
type Ledger struct {
	now func() time.Time

	mu     sync.RWMutex
	synced bool
	nodes  map[string]*node
	// claims maps a claim to the node its selected-node names, as last seen in the API.
	claims map[types.UID]claimRecord
	// volumes maps a volume ID to the node its LogicalVolume object names.
	volumes map[string]string
	// snapshots maps a VolumeSnapshot to the IDs of its LogicalVolumes.
	snapshots map[Origin][]string
	// contents are the VolumeSnapshotContents of our driver by name, handles the snapshot IDs in them by VolumeSnapshot
	// and content.
	contents map[string]Origin
	handles  map[Origin]map[string]string
	// reservedOn maps a volume ID to the nodes where a reservation of it, or what an Unreserve left of one, waits for
	// the claim's next event.
	reservedOn map[string][]string
	// timed are the nodes with promises or bars that time alone can change.
	timed map[string]struct{}
	// heldBytes are the bytes of all promises that are in no report, by who speaks for them.
	heldBytes [sources]int64

	waiters map[types.UID]*waiter
	// seekers is how many of the waiters have a source.
	seekers int
	// tick counts the scheduling cycles that began and the improvements, which tells which came first.
	tick uint64
	// improved are the nodes where space came free and somebody may still want it; improvedOrder has them in the order
	// in which they are looked at.
	improved      map[string]*improvement
	improvedOrder []*improvement
	// leastStale is the shortest Demand.StaleAfter there was.
	leastStale time.Duration
	// wakeAll: every waiter is to be woken, because what it was told means nothing any more.
	wakeAll  bool
	refusals uint64
	woken    uint64

	// wake is signalled when there is something in improved or wakeAll.
	wake chan struct{}
}

type claimRecord struct {
	node    string
	version uint64
	bound   bool
}

// New makes an empty ledger that counts as synced only after MarkSynced. now is the host's clock.
func New(now func() time.Time) *Ledger {
	return &Ledger{
		now:        now,
		nodes:      map[string]*node{},
		claims:     map[types.UID]claimRecord{},
		volumes:    map[string]string{},
		snapshots:  map[Origin][]string{},
		contents:   map[string]Origin{},
		handles:    map[Origin]map[string]string{},
		reservedOn: map[string][]string{},
		timed:      map[string]struct{}{},
		waiters:    map[types.UID]*waiter{},
		improved:   map[string]*improvement{},
		wake:       make(chan struct{}, 1),
	}
}

// Synced tells whether the ledger has seen everything that the API held when it started. Before, its answers are
// worthless and pods with claims of ours wait.
func (l *Ledger) Synced() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.synced
}

// MarkSynced declares the ledger complete and wakes all who waited for that.
func (l *Ledger) MarkSynced() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced, l.wakeAll = true, true
	l.signal()
}

// settle follows a change of one promise and notes what it set free. Caller holds mu for writing.
func (l *Ledger) settle(nodeName, id string) {
	if l.settleQuietly(nodeName, id) {
		l.improve(nodeName)
	}
}

// settleQuietly follows a change of one promise: it counts it anew, forgets it when nobody speaks of it, recomputes the
// node if that changed what it holds, and tells whether a volume group offers more. Caller holds mu for writing.
func (l *Ledger) settleQuietly(nodeName, id string) (rose bool) {
	n := l.nodes[nodeName]
	if n == nil || n.promises[id] == nil {
		return false
	}
	p := n.promises[id]
	if l.recount(n, id, p) {
		rose = n.recompute()
	}
	l.indexReserved(nodeName, id, p)
	switch {
	case p.empty():
		delete(n.promises, id)
		delete(n.timed, id)
	case p.timed():
		n.timed[id] = struct{}{}
	default:
		delete(n.timed, id)
	}
	l.indexTimed(nodeName, n)
	l.prune(nodeName, n)
	return rose
}

// indexReserved keeps reservedOn as the promise has it. Caller holds mu for writing.
func (l *Ledger) indexReserved(nodeName, id string, p *promise) {
	if p.reserved() == p.indexed {
		return
	}
	p.indexed = p.reserved()
	nodes := l.reservedOn[id]
	if p.indexed {
		l.reservedOn[id] = append(nodes, nodeName)
		return
	}
	nodes = slices.DeleteFunc(nodes, func(name string) bool { return name == nodeName })
	if len(nodes) == 0 {
		delete(l.reservedOn, id)
	} else {
		l.reservedOn[id] = nodes
	}
}

// indexTimed keeps timed as the node has it. Caller holds mu for writing.
func (l *Ledger) indexTimed(nodeName string, n *node) {
	n.countSpecial()
	if len(n.timed) > 0 || len(n.bars) > 0 {
		l.timed[nodeName] = struct{}{}
	} else {
		delete(l.timed, nodeName)
	}
}

// recompute places all promises of a node, and tells whether a volume group offers more than before. Caller holds mu
// for writing.
func (n *node) recompute() (rose bool) {
	before := n.left
	n.left = n.place(nil)
	n.drawUp()
	n.countSpecial()
	for group, space := range n.left {
		if old, ok := before[group]; !ok || space.OffersMore(old) {
			rose = true
		}
	}
	return rose
}

// prune forgets a node of which nothing is known any more. Caller holds mu for writing.
func (l *Ledger) prune(name string, n *node) {
	if n.report == nil && len(n.promises) == 0 && len(n.bars) == 0 && n.leaseRenewal.IsZero() {
		delete(l.nodes, name)
	}
}

// place computes what each volume group offers once all promises but those in except are placed. Groups that cannot
// be used offer nothing and are left out.
func (n *node) place(except map[string]struct{}) map[string]*lvm.Space {
	if n.report == nil {
		return nil
	}
	promised := make(map[string][]lvm.Request, len(n.report.groups))
	for id, p := range n.open {
		if _, skip := except[id]; !skip {
			promised[p.counted.group] = append(promised[p.counted.group], p.counted.request)
		}
	}
	left := make(map[string]*lvm.Space, len(n.report.groups))
	for name, group := range n.report.groups {
		if group.usable {
			left[name] = group.space.Promise(promised[name])
		}
	}
	return left
}
