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
	// seen is the ledger's tick when the pod's last cycle began, or when it was last woken: what came free before is
	// no news to it.
	seen uint64
	// since is when its last cycle began, wokenAt when it was last activated.
	since, wokenAt time.Time
	// offer is the node for which it was woken; empty when it has had a cycle since.
	offer string
}

// Await enters a pod as waiting for its demand. It must be called before the demand is evaluated: space that comes
// free in between then wakes the pod, and none is missed. A later call replaces the earlier.
func (l *Ledger) Await(pod *v1.Pod, demand Demand, activator Activator, findings Findings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tick++
	w := &waiter{pod: pod, demand: demand, activator: activator, findings: findings, seen: l.tick, since: l.now()}
	if old := l.waiters[pod.UID]; old != nil {
		w.wokenAt = old.wokenAt
		l.endWaiting(pod.UID)
	}
	l.waiters[pod.UID] = w
	l.seekers += toInt(demand.hasOrigin())
	if l.leastStale == 0 || demand.StaleAfter < l.leastStale {
		l.leastStale = demand.StaleAfter
	}
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
	l.endWaiting(uid)
}

// endWaiting drops a waiter, if there is one of that UID. Caller holds mu for writing.
func (l *Ledger) endWaiting(uid types.UID) {
	if w := l.waiters[uid]; w != nil {
		l.seekers -= toInt(w.demand.hasOrigin())
		delete(l.waiters, uid)
	}
}

// forgetLost drops waiters that nobody will ask about again: a pod may be deleted while its cycle enters it. Caller
// holds mu for writing.
func (l *Ledger) forgetLost(now time.Time) {
	for uid, w := range l.waiters {
		if now.Sub(w.since) > waitingFor {
			l.endWaiting(uid)
		}
	}
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
