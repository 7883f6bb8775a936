package capacity

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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

// list lets the lister read one event more.
func (s *simScheduler) list() {
	if s.listed == len(s.world.claimLog) {
		return
	}
	e := s.world.claimLog[s.listed]
	s.listed++
	for len(s.lister) <= e.of.number {
		s.lister = append(s.lister, claimEvent{})
	}
	s.lister[e.of.number] = e
}

func (s *simScheduler) observeClaim(e claimEvent) {
	if e.deleted {
		s.ledger.ForgetClaim(e.of.claim.UID)
	} else {
		s.ledger.ObserveClaim(e.claim, e.bound)
	}
	// The queueing hint of the plugin.
	if p := e.of.pod; p.scheduler() == s && p.state == podParked {
		p.state = podActive
	}
}

func (s *simScheduler) observeVolume(e volumeEvent) {
	if e.deleted {
		s.ledger.ForgetVolume(e.object, true)
	} else {
		s.ledger.ObserveVolume(e.object)
	}
}

func (s *simScheduler) observeReport(e reportEvent) {
	if e.object == nil {
		s.ledger.ForgetReport(e.node.name)
		delete(s.knows, e.node.name)
		return
	}
	s.ledger.ObserveReport(e.object)
	s.knows[e.node.name] = e.knows
}

// read is deliver for a world in which one of the logs comes late as a rule.
func (s *simScheduler) read(log uint32) {
	if s.world.lazy == log%4 && log>>10%8 > 0 {
		return
	}
	s.deliver(log)
}

// deliver lets the scheduler read one event of a log.
func (s *simScheduler) deliver(log uint32) {
	w := s.world
	switch log % 4 {
	case 0:
		s.list()
	case 1:
		if s.claims < len(w.claimLog) {
			if s.claims == s.listed {
				s.list()
			}
			s.claims++
			s.observeClaim(w.claimLog[s.claims-1])
		}
	case 2:
		if s.volumes < len(w.volumeLog) {
			s.volumes++
			s.observeVolume(w.volumeLog[s.volumes-1])
		}
	case 3:
		if s.reports < len(w.reportLog) {
			s.reports++
			s.observeReport(w.reportLog[s.reports-1])
		}
	}
}

// catchUp delivers what may not be later.
func (s *simScheduler) catchUp() {
	w, limit := s.world, s.world.now.Add(-eventLag)
	for s.claims < len(w.claimLog) && !w.claimLog[s.claims].at.After(limit) {
		s.deliver(1)
	}
	for s.volumes < len(w.volumeLog) && !w.volumeLog[s.volumes].at.After(limit) {
		s.deliver(2)
	}
	for s.reports < len(w.reportLog) && !w.reportLog[s.reports].at.After(limit) {
		s.deliver(3)
	}
}

// relist is a broken watch: of each object only the present state arrives, and a deletion with the state known last.
func (s *simScheduler) relist(log uint32) {
	w := s.world
	w.say("scheduler %d lists again (%d)", s.index, log%2)
	if log%2 == 0 {
		last := map[*simClaim]claimEvent{}
		var order []*simClaim
		for ; s.claims < len(w.claimLog); s.claims++ {
			e := w.claimLog[s.claims]
			if _, ok := last[e.of]; !ok {
				order = append(order, e.of)
			}
			last[e.of] = e
		}
		for s.listed < len(w.claimLog) {
			s.list()
		}
		for _, c := range order {
			s.observeClaim(last[c])
		}
		return
	}
	known, last := map[string]*v1alpha1.LogicalVolume{}, map[string]volumeEvent{}
	for _, e := range w.volumeLog[:s.volumes] {
		if known[e.object.Name] = e.object; e.deleted {
			delete(known, e.object.Name)
		}
	}
	var order []string
	for ; s.volumes < len(w.volumeLog); s.volumes++ {
		e := w.volumeLog[s.volumes]
		if _, ok := last[e.object.Name]; !ok {
			order = append(order, e.object.Name)
		}
		last[e.object.Name] = e
	}
	for _, name := range order {
		if e := last[name]; !e.deleted {
			s.ledger.ObserveVolume(e.object)
		} else if old := known[name]; old != nil {
			s.ledger.ForgetVolume(old, false)
		}
	}
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

type podState int

const (
	podActive podState = iota
	podParked
	podBinding
	podRunning
	podGone
)

// simPod is a pod with claims.
type simPod struct {
	world  *world
	number int
	owner  int
	object *v1.Pod
	claims []*simClaim
	state  podState
}

// scheduler is the one that places the pod.
func (p *simPod) scheduler() *simScheduler {
	return p.world.schedulers[p.owner%p.world.scenario.schedulers]
}

// newPod creates a pod and its claims.
func (w *world) newPod(owner uint32, sizes ...int64) {
	p := &simPod{world: w, number: len(w.pods), owner: int(owner % 2)}
	name := strconv.Itoa(p.number)
	p.object = &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("pod-" + name), CreationTimestamp: metav1.NewTime(w.now)}}
	w.pods = append(w.pods, p)
	for _, size := range sizes {
		c := &simClaim{world: w, number: len(w.claims), pod: p, attempts: map[*simNode]attempt{}}
		c.claim = Claim{UID: types.UID("c" + strconv.Itoa(c.number)), DeviceClass: "ssd", SizeBytes: size}
		c.claim.id = volumeID(c.claim.UID)
		w.claims = append(w.claims, c)
		p.claims = append(p.claims, c)
		c.write()
	}
	if w.tracing {
		text := ""
		for _, c := range p.claims {
			text += fmt.Sprintf(" %s of %d GiB", c.claim.UID, (c.claim.SizeBytes+gib-1)/gib)
		}
		w.say("pod %d with claims%s", p.number, text)
	}
}

// remove deletes the pod; its binding is given up at its next step.
func (p *simPod) remove() {
	if p.state == podGone {
		return
	}
	p.state = podGone
	p.world.say("pod %d is deleted", p.number)
	for _, s := range p.world.schedulers {
		s.ledger.ForgetPod(p.object.UID)
	}
	for _, b := range slices.Clone(p.world.bindings) {
		if b.pod == p {
			b.fail("the pod is gone")
		}
	}
}
