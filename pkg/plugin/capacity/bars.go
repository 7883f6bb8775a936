package capacity

import (
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// bar keeps a claim off a node that refused it until a report observed well after notBefore comes, or until expires.
// Without it the claim would go to the same node again on the report that has just been wrong.
type bar struct{ notBefore, expires time.Time }

// stands tells whether the bar still keeps its claim off.
func (b bar) stands(r *report, now time.Time) bool {
	return now.Before(b.expires) && !(r != nil && r.observedAt.After(b.notBefore.Add(clockMargin)))
}

// refuse notes that the agent refused a claim's volume. A report taken after the volume was ordered, by any clock
// within the bound, knows what the agent knew.
func (l *Ledger) refuse(object *v1alpha1.LogicalVolume) {
	// What was refused before this process looked is not of its placing.
	if l.synced && object.Status.Code == codes.ResourceExhausted.String() {
		l.refusals++
	}
	if uid := object.Spec.ClaimRef.UID; uid != "" {
		l.bar(uid, object.Spec.NodeName, object.CreationTimestamp.Time)
	}
}

// bar keeps a claim off a node until a report observed after notBefore. Caller holds mu for writing.
func (l *Ledger) bar(claim types.UID, nodeName string, notBefore time.Time) {
	n, now := l.node(nodeName), l.now()
	b := bar{notBefore: notBefore, expires: now.Add(barredFor)}
	if !b.stands(n.report, now) {
		return
	}
	n.bars[claim] = b
	l.indexTimed(nodeName, n)
}

// liftBars drops the bars that the node's report or time has ended. Caller holds mu for writing.
func (l *Ledger) liftBars(nodeName string, n *node) {
	for claim, b := range n.bars {
		if !b.stands(n.report, l.now()) {
			delete(n.bars, claim)
			l.improve(nodeName)
		}
	}
	l.indexTimed(nodeName, n)
}
