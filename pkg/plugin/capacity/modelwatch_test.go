package capacity

import "github.com/berth-dev/berth/pkg/api/v1alpha1"

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
	s.world.say("scheduler %d lists again (%d)", s.index, log%2)
	if log%2 == 0 {
		s.relistClaims()
	} else {
		s.relistVolumes()
	}
}

func (s *simScheduler) relistClaims() {
	w := s.world
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
}

func (s *simScheduler) relistVolumes() {
	w := s.world
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
