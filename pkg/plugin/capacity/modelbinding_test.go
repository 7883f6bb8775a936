package capacity

import (
	"slices"
	"time"
)

// attempt is what is kept of a claim's last Reserve on a node, to tell later whether a refusal is explained.
type attempt struct {
	at, knows uint64
	// volumes is how far the scheduler had read the log of volumes.
	volumes int
}

// binding is a binding cycle: VolumeBinding's writes, and then its waiting.
type binding struct {
	pod       *simPod
	scheduler *simScheduler
	ledger    *Ledger
	node      *simNode
	since     time.Time
	demand    Demand
	claims    []*simClaim
	// versions are the claims' resourceVersions that VolumeBinding has read.
	versions []uint64
	written  int
	ended    bool
}

// flyingWrite is a write whose caller has given up.
type flyingWrite struct {
	claim   *simClaim
	node    string
	version uint64
	since   time.Time
}

// schedule is one scheduling cycle. luck chooses the first node to look at, and what happens in between.
func (p *simPod) schedule(luck uint32) {
	s := p.scheduler()
	demand, home, ok := p.demand(s)
	if !ok {
		return
	}
	if len(demand.Claims) == 0 {
		p.state = podRunning
		return
	}
	versions := versionsOf(demand)
	s.ledger.Await(p.object, demand, s, nil)
	node := p.choose(s, demand, home, luck)
	if node == nil {
		p.state = podParked
		p.world.say("pod %d fits nowhere", p.number)
		return
	}
	if luck%7 == 1 {
		s.ledger.Simulate(node.name, p.object.UID, demand)
		s.ledger.Unreserve(node.name, p.object.UID, demand)
	}
	// VolumeBinding may have read a claim later than we did, but no later than our Reserve looks again. It goes nowhere
	// with a claim that names another node.
	for range luck % 3 {
		s.list()
	}
	demand.Claims = slices.Clone(demand.Claims)
	for i := range demand.Claims {
		claim := &demand.Claims[i]
		if e := s.lister[p.claimOf(*claim).number]; !e.deleted {
			claim.ResourceVersion, claim.SelectedNode = e.claim.ResourceVersion, e.claim.SelectedNode
		}
		if luck%2 == 1 {
			versions[i] = claim.ResourceVersion
			if claim.SelectedNode != "" && claim.SelectedNode != node.name {
				p.state = podParked
				return
			}
		}
	}
	if s.ledger.Reserve(node.name, p.object.UID, demand).Reason != Fits {
		p.state = podParked
		return
	}
	p.bind(s, node, demand, versions)
}

func versionsOf(d Demand) []uint64 {
	var versions []uint64
	for _, c := range d.Claims {
		versions = append(versions, c.ResourceVersion)
	}
	return versions
}

// demand is the pod's as its scheduler's lister has it, and the node where its bound claims are, if any. ok is false
// while the lister lacks a claim.
func (p *simPod) demand(s *simScheduler) (d Demand, home string, ok bool) {
	var claims []Claim
	for _, c := range p.claims {
		if c.number >= len(s.lister) || s.lister[c.number].of == nil || s.lister[c.number].deleted {
			return d, "", false
		}
		if e := s.lister[c.number]; e.bound {
			home = e.claim.SelectedNode
		} else {
			claims = append(claims, e.claim)
		}
	}
	// Two profiles of one scheduler may differ in this.
	return NewDemand(claims, time.Duration(3+p.owner)*time.Minute), home, true
}

func (p *simPod) claimOf(claim Claim) *simClaim {
	for _, c := range p.claims {
		if c.claim.UID == claim.UID {
			return c
		}
	}
	return nil
}

// choose is Filter and an arbitrary Score.
func (p *simPod) choose(s *simScheduler, demand Demand, home string, luck uint32) *simNode {
	nodes := p.world.nodes
	for i := range nodes {
		n := nodes[(int(luck%16)+i)%len(nodes)]
		if (home == "" || home == n.name) && s.ledger.mayGo(&demand, n.name) && s.ledger.Evaluate(n.name, demand).Reason == Fits {
			return n
		}
	}
	return nil
}

// bind begins the binding cycle of a reserved pod.
func (p *simPod) bind(s *simScheduler, n *simNode, demand Demand, versions []uint64) {
	w := p.world
	b := &binding{pod: p, scheduler: s, ledger: s.ledger, node: n, since: w.now, demand: demand, versions: versions}
	at := w.next()
	w.noteBlind(s, n, p, at)
	for _, claim := range demand.Claims {
		c := p.claimOf(claim)
		b.claims = append(b.claims, c)
		// What is promised there already was promised on what was known then.
		if c.claim.SelectedNode != n.name {
			c.attempts[n] = attempt{at: at, knows: s.knows[n.name], volumes: s.volumes}
		}
	}
	w.bindings = append(w.bindings, b)
	w.placed++
	p.state = podBinding
	w.say("pod %d is reserved on %s by scheduler %d", p.number, n.name, s.index)
}

// step makes the next write, or looks whether the claims are bound.
func (b *binding) step() {
	if b.written < len(b.claims) {
		c := b.claims[b.written]
		if !c.selectNode(b.node.name, b.versions[b.written]) {
			b.fail("a write failed")
			return
		}
		b.written++
		return
	}
	bound := true
	for _, c := range b.claims {
		if c.deleted || c.claim.SelectedNode != b.node.name {
			b.fail("provisioning failed")
			return
		}
		bound = bound && c.bound
	}
	if bound {
		b.end()
		b.pod.state = podRunning
		b.pod.world.say("pod %d runs on %s", b.pod.number, b.node.name)
	}
}

func (b *binding) end() {
	b.ended = true
	w := b.pod.world
	w.bindings = slices.DeleteFunc(w.bindings, func(other *binding) bool { return other == b })
}

// fail gives the binding up.
func (b *binding) fail(why string) {
	b.end()
	b.ledger.Unreserve(b.node.name, b.pod.object.UID, b.demand)
	b.pod.world.say("pod %d: binding to %s is given up: %s", b.pod.number, b.node.name, why)
	if b.pod.state == podBinding {
		b.pod.state = podActive
	}
}

// cancel gives the binding up from outside, while a write may be on its way.
func (b *binding) cancel(inFlight bool) {
	if b.written < len(b.claims) && inFlight {
		b.fly()
	}
	b.fail("cancelled")
}

func (b *binding) fly() {
	w := b.pod.world
	w.flying = append(w.flying, &flyingWrite{b.claims[b.written], b.node.name, b.versions[b.written], w.now})
}

// land lets a write in flight reach the API server, or be lost.
func (w *world) land(i int, arrives bool) {
	f := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	if arrives {
		f.claim.selectNode(f.node, f.version)
	}
}

// die is a scheduler process that ends: what it was about to write it may have written already.
func (s *simScheduler) die() {
	for _, b := range slices.Clone(s.world.bindings) {
		if b.scheduler != s {
			continue
		}
		b.end()
		if b.written < len(b.claims) {
			b.fly()
		}
		if b.pod.state == podBinding {
			b.pod.state = podActive
		}
	}
	for _, p := range s.world.pods {
		if p.state == podParked && p.scheduler() == s {
			p.state = podActive
		}
	}
}

// crash is die and a restart of the one scheduler, which takes longer than a request.
func (s *simScheduler) crash(luck uint32) {
	w := s.world
	w.say("scheduler %d restarts", s.index)
	s.die()
	for i := len(w.flying) - 1; i >= 0; i-- {
		w.land(i, luck>>(i%8)&1 == 1)
	}
	for _, c := range slices.Clone(w.calls) {
		if !c.ordered && c.claim.deleted {
			c.step(0)
		}
	}
	s.start()
}

// start is restart some time after a process has ended: an agent has published by then what it did.
func (s *simScheduler) start() {
	for _, n := range s.world.nodes {
		n.look()
		n.publish()
	}
	s.restart()
}

// failOver hands the pods to the scheduler that stands by, as far as it has read, and starts another.
func (w *world) failOver() {
	w.say("the other scheduler takes over")
	w.schedulers[0].die()
	w.schedulers[0], w.schedulers[1] = w.schedulers[1], w.schedulers[0]
	w.schedulers[1].start()
}
