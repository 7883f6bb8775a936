package capacity

import (
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
	bars    map[barKey]bar
	waiters map[types.UID]*waiter
	// timed are the promises that time alone can change.
	timed map[promiseKey]struct{}
	// improved are the nodes where space came free since the last round of waking.
	improved map[string]*improvement
	// wakeAll: every waiter is to be woken, because what it was told means nothing any more.
	wakeAll  bool
	refusals uint64
	woken    uint64

	// wake is signalled when there is something in improved or wakeAll.
	wake chan struct{}
}

// node is what is known of one node's storage.
type node struct {
	report *report
	// agentSeenAt is when the agent last gave a sign of life, by this host's clock; zero when it never did.
	agentSeenAt time.Time
	// leaseRenewal is the last sign of life by the agent's clock, which tells a new one from an old one.
	leaseRenewal time.Time
	promises     map[string]*promise
	// left is what each volume group offers once everything promised here is placed. It is recomputed whenever the
	// report or a promise changes, so that Filter only reads.
	left map[string]*lvm.Space
	// beingMade is how many of the promises wait for their volume; recomputed with left.
	beingMade int
}

type promiseKey struct{ node, volumeID string }

type claimRecord struct {
	node    string
	version uint64
	bound   bool
}

type barKey struct {
	claim types.UID
	node  string
}

// bar keeps a claim off a node until a report observed after notBefore comes, or until expires. lifted tells that
// such a report has come.
type bar struct {
	notBefore, expires time.Time
	lifted             bool
}

// New makes an empty ledger that counts as synced only after MarkSynced. now is the host's clock.
func New(now func() time.Time) *Ledger {
	return &Ledger{
		now:      now,
		nodes:    map[string]*node{},
		claims:   map[types.UID]claimRecord{},
		volumes:  map[string]string{},
		bars:     map[barKey]bar{},
		waiters:  map[types.UID]*waiter{},
		timed:    map[promiseKey]struct{}{},
		improved: map[string]*improvement{},
		wake:     make(chan struct{}, 1),
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

// node returns a node's entry and makes it if need be. Caller holds mu for writing.
func (l *Ledger) node(name string) *node {
	n := l.nodes[name]
	if n == nil {
		n = &node{promises: map[string]*promise{}, left: map[string]*lvm.Space{}}
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

// settle follows a change of one promise: forgets it when nobody speaks of it, and recomputes the node. Caller holds
// mu for writing.
func (l *Ledger) settle(nodeName, id string) {
	n := l.nodes[nodeName]
	if n == nil {
		return
	}
	key := promiseKey{nodeName, id}
	delete(l.timed, key)
	if p := n.promises[id]; p != nil {
		if p.empty() {
			delete(n.promises, id)
		} else if p.timed() {
			l.timed[key] = struct{}{}
		}
	}
	l.recompute(nodeName, n)
}

// recompute places all promises of a node and notes an improvement when a volume group offers more than before.
// Caller holds mu for writing.
func (l *Ledger) recompute(name string, n *node) {
	before := n.left
	n.left, n.beingMade = n.place(nil), 0
	for _, p := range n.promises {
		if p.beingMade() {
			n.beingMade++
		}
	}
	for group, space := range n.left {
		if old, ok := before[group]; !ok || space.OffersMore(old) {
			l.improve(name)
		}
	}
	if n.report == nil && len(n.promises) == 0 && n.leaseRenewal.IsZero() {
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
	for id, p := range n.promises {
		if _, skip := except[id]; skip {
			continue
		}
		if group, request, ok := n.report.request(id, p); ok {
			promised[group.name] = append(promised[group.name], request)
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

// stale tells whether the agent's last sign of life is older than limit.
func (n *node) stale(now time.Time, limit time.Duration) bool {
	return n.agentSeenAt.IsZero() || now.Sub(n.agentSeenAt) > limit
}
