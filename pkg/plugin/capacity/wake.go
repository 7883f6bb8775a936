package capacity

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/lvm"
)

const (
	// roundPeriod is the time between two rounds of waking: the pods of one round have it to reserve what woke them.
	// One pod is woken at most once in it, since Activate passes over the queue's backoff.
	roundPeriod = time.Second
	// sweepPeriod is how often time's own changes are looked for.
	sweepPeriod = 5 * time.Second
)

// Activator moves pods to the scheduling queue's active part: fwk.Handle.
type Activator interface {
	Activate(logger klog.Logger, pods map[string]*v1.Pod)
}

// Findings is what one scheduling cycle has found out about a pod; Report is called outside of the cycle, without the
// ledger's lock, while the pod waits.
type Findings interface {
	Report(ctx context.Context, pod *v1.Pod, waitingSince time.Time)
}

// waiter is a pod between PreFilter and a successful Reserve.
type waiter struct {
	pod       *v1.Pod
	demand    Demand
	activator Activator
	findings  Findings
	// since is when its present cycle began, wokenAt when it was last activated.
	since, wokenAt time.Time
}

// improvement is space that came free on a node. told are the pods that were woken for it; when they leave it unused,
// because something else keeps them off the node, the next round wakes others.
type improvement struct{ told map[types.UID]struct{} }

// Await enters a pod as waiting for its demand. It must be called before the demand is evaluated: space that comes
// free in between then wakes the pod, and none is missed. A later call replaces the earlier.
func (l *Ledger) Await(pod *v1.Pod, demand Demand, activator Activator, findings Findings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &waiter{pod: pod, demand: demand, activator: activator, findings: findings, since: l.now()}
	if old := l.waiters[pod.UID]; old != nil {
		w.wokenAt = old.wokenAt
	}
	l.waiters[pod.UID] = w
}

// ForgetPod ends a pod's waiting, because it is gone or has its node. It is idempotent.
func (l *Ledger) ForgetPod(uid types.UID) {
	l.mu.RLock()
	_, waits := l.waiters[uid]
	l.mu.RUnlock()
	if !waits {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiters, uid)
}

// improve notes that a node may now fit what it did not fit before. Caller holds mu for writing.
func (l *Ledger) improve(nodeName string) {
	l.improved[nodeName] = &improvement{told: map[types.UID]struct{}{}}
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

// Sweep drops promises and bars that time has ended.
func (l *Ledger) Sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for key := range l.timed {
		n := l.nodes[key.node]
		if p := n.promises[key.volumeID]; p != nil && p.expire(now, n.report) {
			l.settle(key.node, key.volumeID)
		}
	}
	for key, b := range l.bars {
		if now.Before(b.expires) {
			continue
		}
		delete(l.bars, key)
		if !b.lifted {
			l.improve(key.node)
		}
	}
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
func (l *Ledger) chooseWoken() (woken []*waiter, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.synced || len(l.improved) == 0 && !l.wakeAll {
		return nil, false
	}
	now := l.now()
	if l.wakeAll {
		l.wakeAll = false
		clear(l.improved)
		woken = l.waitersByAge()
		for _, w := range woken {
			w.wokenAt = now
		}
		l.woken += uint64(len(woken))
		return woken, false
	}
	used := map[string]bool{}
	overlays := map[string]map[string]*lvm.Space{}
	names := slices.Sorted(maps.Keys(l.improved))
	for _, w := range l.waitersByAge() {
		nodeName, ok := l.wakeFor(w, names, overlays)
		if !ok {
			continue
		}
		again = true
		used[nodeName] = true
		if now.Sub(w.wokenAt) < roundPeriod {
			continue
		}
		w.wokenAt = now
		l.improved[nodeName].told[w.pod.UID] = struct{}{}
		l.woken++
		woken = append(woken, w)
	}
	for _, name := range names {
		if !used[name] {
			delete(l.improved, name)
		}
	}
	return woken, again
}

// wakeFor finds an improved node whose space is enough for the waiter besides those before it, and takes it in
// overlays.
func (l *Ledger) wakeFor(w *waiter, names []string, overlays map[string]map[string]*lvm.Space) (string, bool) {
	for _, name := range names {
		if _, told := l.improved[name].told[w.pod.UID]; told || !w.demand.mayGoTo(name) {
			continue
		}
		verdict, wants := l.evaluate(name, w.demand, overlays[name])
		if verdict.Reason != Fits {
			continue
		}
		if overlays[name] == nil {
			overlays[name] = make(map[string]*lvm.Space, len(wants))
		}
		for i := range wants {
			overlays[name][wants[i].group.name] = wants[i].left()
		}
		return name, true
	}
	return "", false
}

// waitersByAge lists the waiters, the pod created first in front.
func (l *Ledger) waitersByAge() []*waiter {
	return slices.SortedFunc(maps.Values(l.waiters), func(a, b *waiter) int {
		if c := a.pod.CreationTimestamp.Compare(b.pod.CreationTimestamp.Time); c != 0 {
			return c
		}
		return cmp.Compare(a.pod.UID, b.pod.UID)
	})
}

// report lets the findings of the waiting pods' last cycles be told.
func (l *Ledger) report(ctx context.Context) {
	l.mu.RLock()
	waiters := slices.Collect(maps.Values(l.waiters))
	l.mu.RUnlock()
	for _, w := range waiters {
		if w.findings != nil {
			w.findings.Report(ctx, w.pod, w.since)
		}
	}
}
