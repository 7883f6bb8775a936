package capacity

import (
	"context"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/lvm"
)

const (
	// roundPeriod is the time between two rounds of waking, and the least between two wakings of one pod: Activate
	// passes over the queue's backoff.
	roundPeriod = time.Second
	// offerFor is how long space is kept for a woken pod that has not come by, in a long queue say. Then others are
	// woken for it.
	offerFor = 30 * time.Second
	// sweepPeriod is how often time's own changes are looked for.
	sweepPeriod = 5 * time.Second
	// roundLooks bounds the (pod, node) pairs that one round looks at, and so the time for which it holds the lock.
	roundLooks = 100_000
)

// improvement is a node where space came free at a tick. Pods whose cycle began later have seen it.
type improvement struct {
	node string
	tick uint64
}

// improve notes that a node may now fit what it did not fit before. Caller holds mu for writing.
func (l *Ledger) improve(nodeName string) {
	l.tick++
	if i := l.improved[nodeName]; i != nil {
		i.tick = l.tick
		return
	}
	i := &improvement{nodeName, l.tick}
	l.improved[nodeName] = i
	l.improvedOrder = append(l.improvedOrder, i)
}

// signal wakes the waking loop when there is something for it. Caller holds mu.
func (l *Ledger) signal() {
	if len(l.improved) == 0 && !l.wakeAll {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run wakes waiting pods and lets time pass in the ledger until ctx ends.
func (l *Ledger) Run(ctx context.Context) {
	sweep := time.NewTicker(sweepPeriod)
	defer sweep.Stop()
	reports := time.NewTicker(roundPeriod)
	defer reports.Stop()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-again:
		case <-sweep.C:
			l.Sweep()
		case <-reports.C:
			l.report(ctx)
			continue
		}
		again = nil
		if l.WakeRound(klog.FromContext(ctx)) {
			again = time.After(roundPeriod)
		}
	}
}

// Sweep drops promises, bars and waiters that time has ended.
func (l *Ledger) Sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.timed {
		n := l.nodes[name]
		l.expire(name, n)
		l.prune(name, n)
	}
	l.forgetLost(l.now())
	l.signal()
}

// WakeRound activates the waiting pods, oldest first, that now fit an improved node, as many as the space there
// holds. It returns true when another round is due after roundPeriod.
func (l *Ledger) WakeRound(logger klog.Logger) bool {
	woken, again := l.chooseWoken()
	byActivator := map[Activator]map[string]*v1.Pod{}
	for _, w := range woken {
		pods := byActivator[w.activator]
		if pods == nil {
			pods = map[string]*v1.Pod{}
			byActivator[w.activator] = pods
		}
		pods[klog.KObj(w.pod).String()] = w.pod
		logger.V(4).Info("Waking pod: its volumes may fit now", "pod", klog.KObj(w.pod))
	}
	// Outside of the lock: the queue's own lock is taken, under which nobody should wait for ours.
	for activator, pods := range byActivator {
		activator.Activate(logger, pods)
	}
	return again
}

// chooseWoken picks the pods of one round.
func (l *Ledger) chooseWoken() (woken []waiter, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.synced || len(l.improved) == 0 && !l.wakeAll {
		return nil, false
	}
	r := &round{Ledger: l, at: l.now(), overlays: map[string]map[string]*lvm.Space{}, busy: map[string]bool{}}
	if l.wakeAll {
		return r.everybody(), false
	}
	waiters := l.waitersByAge()
	nodes := l.improvedOrder[:min(len(l.improvedOrder), max(1, roundLooks/max(1, len(waiters))))]
	for _, w := range waiters {
		r.keepOffer(w)
	}
	for _, w := range waiters {
		if w.offer == "" {
			r.consider(w, nodes)
		}
	}
	r.finish(nodes)
	return r.woken, len(l.improved) > 0
}

// round is one choice of pods. Caller of its methods holds the ledger's mu for writing.
type round struct {
	*Ledger
	at time.Time
	// overlays is what is left on a node for those that come after, busy the nodes that the next round looks at again.
	overlays map[string]map[string]*lvm.Space
	busy     map[string]bool
	woken    []waiter
}

func (r *round) everybody() []waiter {
	r.wakeAll = false
	clear(r.improved)
	r.improvedOrder = nil
	for _, w := range r.waitersByAge() {
		r.wakeFor(w, "")
	}
	return r.woken
}

// keepOffer keeps the space for a pod that was woken and has not had its cycle yet.
func (r *round) keepOffer(w *waiter) {
	if w.offer == "" {
		return
	}
	if r.at.Sub(w.wokenAt) >= offerFor || !r.take(w, w.offer) {
		w.offer = ""
		return
	}
	r.busy[w.offer] = true
}

// consider wakes a pod for the first of the nodes whose space is enough for it besides those before it. One that was
// woken too short a time ago waits for the next round, and with it all the nodes that would do: the first may be taken
// by then.
func (r *round) consider(w *waiter, nodes []*improvement) {
	early := r.at.Sub(w.wokenAt) < roundPeriod
	taken := false
	for _, i := range nodes {
		if w.seen >= i.tick || !r.mayGo(&w.demand, i.node) {
			continue
		}
		if taken {
			r.busy[i.node] = r.busy[i.node] || r.fits(w, i.node)
			continue
		}
		if !r.take(w, i.node) {
			continue
		}
		r.busy[i.node], taken = true, true
		if !early {
			r.wakeFor(w, i.node)
			return
		}
	}
}

func (r *round) wakeFor(w *waiter, nodeName string) {
	w.wokenAt, w.offer, w.seen = r.at, nodeName, r.tick
	r.Ledger.woken++
	r.woken = append(r.woken, *w)
}

// take sets a pod's demand aside on a node; false when it does not fit besides what was set aside before.
func (r *round) take(w *waiter, nodeName string) bool {
	wants, ok := r.wants(w, nodeName)
	if !ok {
		return false
	}
	if r.overlays[nodeName] == nil {
		r.overlays[nodeName] = make(map[string]*lvm.Space, len(wants))
	}
	for i := range wants {
		r.overlays[nodeName][wants[i].group.name] = wants[i].left()
	}
	return true
}

func (r *round) fits(w *waiter, nodeName string) bool {
	_, ok := r.wants(w, nodeName)
	return ok
}

// wants is what a pod takes of a node; false when it does not fit besides what was set aside before.
func (r *round) wants(w *waiter, nodeName string) ([]want, bool) {
	// A sum refuses most without allocating; what was set aside can only add to that.
	var t tally
	if fits, decided := r.tallyUp(nodeName, &w.demand, &t); decided && !fits {
		return nil, false
	}
	verdict, wants := r.evaluate(nodeName, w.demand, r.overlays[nodeName])
	return wants, verdict.Reason == Fits
}

// finish drops the nodes that were looked at and have nothing more to give, and lets the others queue up again. While
// a simulation holds bytes of a node, what this round saw of it may be too little.
func (r *round) finish(nodes []*improvement) {
	rest := slices.Clone(r.improvedOrder[len(nodes):])
	for _, i := range nodes {
		if n := r.nodes[i.node]; r.busy[i.node] || n != nil && len(n.simulations) > 0 {
			rest = append(rest, i)
		} else {
			delete(r.improved, i.node)
		}
	}
	r.improvedOrder = rest
}
