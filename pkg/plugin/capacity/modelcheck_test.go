package capacity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"
)

// checkRefusal judges a volume that its agent refuses for lack of space: it must be explained by something that the
// scheduler could not know when it promised the bytes, and scenarios without such things have no refusals.
func (w *world) checkRefusal(c *simClaim, n *simNode) {
	w.refused++
	a, explained := c.attempts[n], n.lastBlind >= c.attempts[n].at
	for _, d := range n.draws {
		if d.at > a.knows && (d.order < 0 || a.volumes <= d.order) {
			explained = true
		}
	}
	w.say("%s: volume of claim %s refused: %d GiB wanted, %d to give", n.name, c.claim.UID, c.volume.Spec.SizeBytes/gib, n.availableBytes()/gib)
	if !w.mayRefuse || !explained {
		w.fail("volume of claim %s, %d GiB, refused on %s: %d GiB to give", c.claim.UID, c.volume.Spec.SizeBytes/gib, n.name, n.availableBytes()/gib)
	}
}

// noteBlind notes a Reserve on a node where another claim is promised that the scheduler does not know of.
func (w *world) noteBlind(s *simScheduler, n *simNode, p *simPod, at uint64) {
	if len(w.schedulers) < 2 {
		return
	}
	blind := func(c *simClaim) bool { return c.pod != p && !s.counts(c, n) }
	for _, b := range w.bindings {
		if b.node == n && slices.ContainsFunc(b.claims, blind) {
			n.lastBlind = at
		}
	}
	for _, f := range w.flying {
		if f.node == n.name && blind(f.claim) {
			n.lastBlind = at
		}
	}
	for _, c := range w.open {
		if (c.promisedOn(n) > 0 || c.volume != nil && c.node() == n) && blind(c) {
			n.lastBlind = at
		}
	}
}

// counts tells whether the scheduler's ledger or its last report counts the claim's volume on a node.
func (s *simScheduler) counts(c *simClaim, n *simNode) bool {
	if known := s.ledger.nodes[n.name]; known != nil && known.promises[c.claim.VolumeID()] != nil {
		return true
	}
	_, made := n.lvs[c.claim.VolumeID()]
	return made && c.madeAt < s.knows[n.name]
}

// rest lets everything that was begun end, all events arrive and all bridges' times run out, and the waiting pods have
// what there is.
func (w *world) rest() {
	for range 3 {
		w.settle()
		w.reportAll()
		w.pass(bridgeFor + clockMargin)
		w.reportAll()
	}
	w.settle()
}

// settle lets everything that was begun end.
func (w *world) settle() {
	for round := range 400 {
		if w.quiet() || w.failure != "" {
			break
		}
		for _, b := range slices.Clone(w.bindings) {
			if !b.ended {
				b.step()
			}
		}
		for i := len(w.flying); i > 0; i-- {
			w.land(0, i%2 == 0)
		}
		for _, c := range slices.Clone(w.calls) {
			c.step(0)
		}
		w.workAll()
		w.pass(5 * time.Second)
		if round%3 == 0 {
			w.reportAll()
		}
		w.scheduleAll()
	}
	if w.failure == "" && !w.quiet() {
		w.fail("it does not come to rest: %s", w.unrest())
	}
}

// workAll lets agents, provisioner and janitor do their next steps.
func (w *world) workAll() {
	for _, c := range slices.Clone(w.open) {
		c.work()
		c.reclaim()
		if c.call == nil && c.wanted() {
			w.startCall(c)
		}
	}
	w.open = slices.DeleteFunc(w.open, func(c *simClaim) bool { return c.settled() && c.volume == nil })
}

// reportAll publishes what all agents see, and lets every scheduler read everything.
func (w *world) reportAll() {
	for _, n := range w.nodes {
		n.clockOff = false
		n.look()
		n.publish()
	}
	for _, s := range w.schedulers {
		s.readAll()
	}
}

func (s *simScheduler) readAll() {
	for s.claims < len(s.world.claimLog) {
		s.deliver(1)
	}
	for s.volumes < len(s.world.volumeLog) {
		s.deliver(2)
	}
	for s.reports < len(s.world.reportLog) {
		s.deliver(3)
	}
}

func (w *world) scheduleAll() {
	for _, s := range w.active() {
		s.ledger.WakeRound(klog.Logger{})
	}
	for _, p := range w.pods {
		if p.state == podActive {
			p.schedule(uint32(p.number) * 2)
		}
	}
}

// quiet: nobody has anything left to do.
func (w *world) quiet() bool { return w.unrest() == "" }

func (w *world) unrest() string {
	for _, c := range w.open {
		if !c.settled() {
			return "claim " + string(c.claim.UID)
		}
	}
	for _, p := range w.pods {
		if p.state == podBinding || p.state == podActive && !p.lacksClaims() {
			return fmt.Sprintf("pod %d", p.number)
		}
	}
	if len(w.flying) > 0 || len(w.calls) > 0 {
		return "a request"
	}
	for _, s := range w.active() {
		if len(s.ledger.improved) > 0 {
			return "the waking"
		}
	}
	return ""
}

func (p *simPod) lacksClaims() bool {
	return slices.ContainsFunc(p.claims, func(c *simClaim) bool { return c.deleted })
}

// checkRest compares each ledger with one that is made now from what the API server has, with the disks, and looks for
// pods that wait although they fit.
func (w *world) checkRest() {
	old := w.schedulers
	for i, s := range old {
		fresh := &simScheduler{world: w, index: len(old) + i, offset: s.offset}
		fresh.restart()
		w.schedulers = append(w.schedulers, fresh)
	}
	// A ledger that has just begun cannot tell what a restored volume group contains until a report taken later than any
	// clock may be off.
	w.pass(2*clockMargin + time.Second)
	w.reportAll()
	w.pass(time.Second)
	for i, s := range old {
		if got, want := dump(s.ledger), dump(w.schedulers[len(old)+i].ledger); got != want {
			w.fail("scheduler %d's ledger is not what the API server's objects make:\n%s", s.index, differences(got, want))
		}
		for _, n := range w.nodes {
			free := s.ledger.nodes[n.name].left["vg-ssd"].FreeBytes()
			if want := max(n.availableBytes(), 0); free != want {
				w.fail("scheduler %d thinks that %s has %d GiB, it has %d", s.index, n.name, free/gib, want/gib)
			}
		}
	}
	for _, p := range w.pods {
		if p.state == podParked {
			p.checkParked()
		}
	}
}

func (p *simPod) checkParked() {
	s := p.scheduler()
	demand, home, ok := p.demand(s)
	if !ok {
		return
	}
	for _, c := range p.claims {
		if !c.bound && c.claim.SelectedNode != "" {
			p.world.fail("pod %d waits with claim %s pinned to %s", p.number, c.claim.UID, c.claim.SelectedNode)
		}
	}
	if n := p.choose(s, demand, home, 0); n != nil {
		p.world.fail("pod %d waits although it fits %s", p.number, n.name)
	}
}

// differences are the lines that only one of two texts has.
func differences(got, want string) string {
	var b strings.Builder
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range gotLines {
		if !slices.Contains(wantLines, line) {
			b.WriteString("got  " + line + "\n")
		}
	}
	for _, line := range wantLines {
		if !slices.Contains(gotLines, line) {
			b.WriteString("want " + line + "\n")
		}
	}
	return b.String()
}

// dump is a ledger's promises and what they leave, as text.
func dump(l *Ledger) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l.nodes)) {
		n := l.nodes[name]
		fmt.Fprintf(&b, "%s: agent known %t, bars %d, timed %d", name, !n.agentSeenAt.IsZero(), len(n.bars), len(n.timed))
		for _, group := range slices.Sorted(maps.Keys(n.left)) {
			fmt.Fprintf(&b, ", %s leaves %d", group, n.left[group].FreeBytes())
		}
		b.WriteString("\n")
		for _, id := range slices.Sorted(maps.Keys(n.promises)) {
			p := n.promises[id]
			size, class, group := p.held()
			fmt.Fprintf(&b, "  %s: %d of class %q in %q by %s, not included %+v\n", id, size, class, group, sourceNames[p.source()], p.counted.bytes)
		}
	}
	fmt.Fprintf(&b, "held %v, reserved on %v, timed %v\n", l.heldBytes, l.reservedOn, l.timed)
	for _, uid := range slices.Sorted(maps.Keys(l.claims)) {
		fmt.Fprintf(&b, "  claim %s %+v\n", uid, l.claims[uid])
	}
	return b.String()
}
