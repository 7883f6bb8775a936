package capacity

import (
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// The event logs. An event is what a watch delivers.
type (
	claimEvent struct {
		at             time.Time
		of             *simClaim
		claim          Claim
		bound, deleted bool
	}
	volumeEvent struct {
		at      time.Time
		object  *v1alpha1.LogicalVolume
		deleted bool
	}
	// reportEvent without an object is a deletion; knows is when the report was taken.
	reportEvent struct {
		at     time.Time
		node   *simNode
		object *v1alpha1.NodeStorage
		knows  uint64
	}
)

// simScheduler is a scheduler process: the real ledger, and how far it has read each log. Of claims the lister is ahead
// of the handlers, as in a shared informer.
type simScheduler struct {
	world  *world
	index  int
	offset time.Duration
	ledger *Ledger

	listed, claims, volumes, reports int
	// lister is a claim as the lister has it, by number.
	lister  []claimEvent
	renewed []time.Time
	// knows is when the last report that was delivered was taken, by node.
	knows map[string]uint64
}

func (s *simScheduler) now() time.Time { return s.world.now.Add(s.offset) }

// restart begins a new process, which reads all there is before it is synced.
func (s *simScheduler) restart() {
	w := s.world
	s.ledger = New(s.now)
	s.lister, s.renewed, s.knows = make([]claimEvent, len(w.claims)), make([]time.Time, len(w.nodes)), map[string]uint64{}
	for _, e := range w.claimLog {
		s.lister[e.of.number] = e
	}
	s.listed, s.claims, s.volumes, s.reports = len(w.claimLog), len(w.claimLog), len(w.volumeLog), len(w.reportLog)
	for i, n := range w.nodes {
		s.renewed[i] = w.now
		s.ledger.ObserveLease(n.name, w.now.Add(n.offset))
	}
	latest := map[*simNode]reportEvent{}
	for _, e := range w.reportLog {
		latest[e.node] = e
	}
	for _, n := range w.nodes {
		if e := latest[n]; e.object != nil {
			s.observeReport(e)
		}
	}
	for _, c := range w.claims {
		if c.volume != nil {
			s.ledger.ObserveVolume(c.volume)
		}
		if e := s.lister[c.number]; e.of != nil && !e.deleted {
			s.ledger.ObserveClaim(e.claim, e.bound)
		}
	}
	s.ledger.MarkSynced()
}

// Activate implements Activator.
func (s *simScheduler) Activate(_ klog.Logger, pods map[string]*v1.Pod) {
	for _, pod := range pods {
		number, _ := strconv.Atoi(pod.Name)
		if p := s.world.pods[number]; p.state == podParked {
			p.state = podActive
			s.world.woken++
			s.world.say("pod %d is woken", number)
		}
	}
}
