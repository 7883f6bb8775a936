package capacity

import (
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// bar keeps a claim off a node that refused it until a report comes that was taken well after we heard of it, since, or
// until barredFor is over. Without it the claim would go to the same node again on the report that has just been wrong.
type bar struct{ since time.Time }

// stands tells whether the bar still keeps its claim off.
func (b bar) stands(r *report, now time.Time) bool {
	return now.Before(b.since.Add(barredFor)) && !(r != nil && r.observedAt.After(b.since.Add(clockMargin)))
}

// refuse notes that the agent refused a claim's volume. Of a snapshot it says nothing: nobody has placed that.
func (l *Ledger) refuse(object *v1alpha1.LogicalVolume) {
	if object.IsSnapshot() {
		return
	}
	// What was refused before this process looked is not of its placing.
	if l.synced && object.Status.Code == codes.ResourceExhausted.String() {
		l.refusals++
	}
	if uid := object.Spec.ClaimRef.UID; uid != "" {
		l.bar(uid, object.Spec.NodeName)
	}
}

// bar keeps a claim off a node. Caller holds mu for writing.
func (l *Ledger) bar(claim types.UID, nodeName string) {
	n := l.node(nodeName)
	n.bars[claim] = bar{l.now()}
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
