package capacity

import (
	"math/rand/v2"
	"time"

	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// step is one thing that happens: kind is an index of kinds, a and b choose among what there is.
type step struct {
	kind uint8
	a, b uint32
}

// kind is a kind of step. weight is how often it comes, relative to the others.
type kind struct {
	name   string
	weight int
	do     func(w *world, a, b uint32)
}

var kinds = []kind{
	{"new pod", 16, func(w *world, a, b uint32) {
		if w.crowded() {
			return
		}
		sizes := []int64{size(b)}
		if b%5 == 0 {
			sizes = append(sizes, size(b>>8))
		}
		w.newPod(a, sizes...)
	}},
	{"schedule", 20, func(w *world, a, b uint32) {
		if p := pick(w.pods, a, func(p *simPod) bool { return p.state == podActive }); p != nil {
			p.schedule(b)
		}
	}},
	{"bind", 20, func(w *world, a, _ uint32) {
		if b := pick(w.bindings, a, nil); b != nil {
			b.step()
		}
	}},
	{"cancel binding", 2, func(w *world, a, b uint32) {
		if c := pick(w.bindings, a, nil); c != nil {
			c.cancel(b%2 == 0)
		}
	}},
	{"write lands", 2, func(w *world, a, b uint32) {
		if len(w.flying) > 0 {
			w.land(int(a)%len(w.flying), b%3 > 0)
		}
	}},
	{"provision", 12, func(w *world, a, _ uint32) {
		if c := pick(w.open, a, func(c *simClaim) bool { return c.call == nil && c.wanted() }); c != nil {
			w.startCall(c)
		}
	}},
	{"CreateVolume", 24, func(w *world, a, b uint32) {
		if c := pick(w.calls, a, nil); c != nil {
			c.step(b)
		}
	}},
	{"agent", 50, func(w *world, a, _ uint32) {
		if c := pick(w.open, a, (*simClaim).needsAgent); c != nil {
			c.work()
		}
	}},
	{"look", 5, func(w *world, a, _ uint32) { w.node(a).look() }},
	{"publish", 5, func(w *world, a, _ uint32) { w.node(a).publish() }},
	{"events", 30, func(w *world, a, b uint32) {
		for range b>>8%4 + 1 {
			w.schedulers[int(a)%len(w.schedulers)].read(b)
		}
	}},
	{"list again", 1, func(w *world, a, b uint32) { w.schedulers[int(a)%len(w.schedulers)].relist(b) }},
	{"time", 12, func(w *world, a, _ uint32) { w.pass(time.Duration(a%8000) * time.Millisecond) }},
	{"wake", 6, func(w *world, a, _ uint32) {
		w.schedulers[int(a)%w.scenario.schedulers].ledger.WakeRound(klog.Logger{})
	}},
	{"claim changes", 3, func(w *world, a, _ uint32) {
		// Somebody writes something else into it.
		if c := pick(w.claims, a, func(c *simClaim) bool { return !c.deleted }); c != nil {
			c.write()
			w.say("claim %s is changed", c.claim.UID)
		}
	}},
	{"delete claim", 3, func(w *world, a, _ uint32) {
		if c := pick(w.claims, a, func(c *simClaim) bool { return !c.deleted }); c != nil {
			c.remove()
		}
	}},
	{"delete pod and claims", 12, func(w *world, a, b uint32) {
		// Mostly of pods that have their place, so that others find one.
		if p := pick(w.pods, a, func(p *simPod) bool { return p.state == podRunning || b%4 == 0 && p.state != podGone }); p != nil {
			p.removeAll(b)
		}
	}},
	{"reclaim", 14, func(w *world, a, _ uint32) {
		if c := pick(w.open, a, func(c *simClaim) bool { return c.deleted && c.volume != nil && !c.absent() }); c != nil {
			c.reclaim()
		}
	}},
	{"expand", 4, func(w *world, a, b uint32) {
		if c := pick(w.open, a, (*simClaim).mayExpand); c != nil {
			c.expand(size(b))
		}
	}},
	{"growth", 1, func(w *world, a, b uint32) { w.node(a).grow(int64(b%2+1) * gib) }},
	{"vgextend", 1, func(w *world, a, b uint32) {
		if n := w.node(a); n.sizeBytes < 40*gib {
			n.extend(int64(b%3+1) * gib)
		}
	}},
	{"object vanishes", 1, func(w *world, a, b uint32) {
		if c := pick(w.open, a, (*simClaim).mayVanish); c != nil && b%2 == 0 {
			c.vanish()
		}
	}},
	{"report deleted", 1, func(w *world, a, b uint32) {
		if b%8 == 0 {
			w.node(a).unpublish()
		}
	}},
	{"clock", 1, func(w *world, a, b uint32) {
		n := w.node(a)
		n.clockOff = b%4 == 0
		n.look()
	}},
	{"restart", 1, func(w *world, a, b uint32) {
		switch {
		case w.standby && b%2 == 0:
			w.failOver()
		case len(w.schedulers) == 1 && b%4 == 0:
			w.schedulers[0].crash(a)
		}
	}},
	{"interference", 2, func(w *world, a, b uint32) {
		if w.interference {
			w.node(a).interfere(b, int64(b>>8%3+1)*gib)
		}
	}},
}

var totalWeight = func() (total int) {
	for _, k := range kinds {
		total += k.weight
	}
	return total
}()

func randomStep(r *rand.Rand) step {
	n := r.IntN(totalWeight)
	for i, k := range kinds {
		if n -= k.weight; n < 0 {
			bits := r.Uint64()
			return step{uint8(i), uint32(bits), uint32(bits >> 32)}
		}
	}
	return step{}
}

func (w *world) do(s step) { kinds[s.kind].do(w, s.a, s.b) }

func (w *world) node(a uint32) *simNode { return w.nodes[int(a)%len(w.nodes)] }

// size is 1 to 5 GiB, now and then a little less.
func size(b uint32) int64 {
	s := int64(b%5+1) * gib
	if b%7 == 0 {
		s -= 12345
	}
	return s
}

// pick chooses one that can, looking from a random one on; nil when there is none within reach.
func pick[T any](from []*T, a uint32, can func(*T) bool) *T {
	const reach = 64
	for i := range min(len(from), reach) {
		// Mostly among the latest: the older ones have little left to do.
		at := len(from) - 1 - (int(a%reach)+i)%min(len(from), reach)
		if one := from[at]; can == nil || can(one) {
			return one
		}
	}
	return nil
}

// crowded: so many pods wait that more would only wait, too.
func (w *world) crowded() bool {
	waiting := 0
	for _, p := range w.pods[max(0, len(w.pods)-40):] {
		if p.state == podActive || p.state == podParked {
			waiting++
		}
	}
	return waiting > 24
}

// removeAll deletes a pod and its claims, in either order.
func (p *simPod) removeAll(luck uint32) {
	if luck%2 == 0 {
		p.remove()
	}
	for _, c := range p.claims {
		c.remove()
	}
	if luck%4 == 1 {
		p.remove()
	}
}

func (c *simClaim) needsAgent() bool {
	return c.lost != nil || c.volume != nil &&
		(c.absent() || c.phase() != v1alpha1.PhaseReady && c.phase() != v1alpha1.PhaseFailed || c.phase() == v1alpha1.PhaseReady && c.growing())
}

func (c *simClaim) mayExpand() bool {
	return c.volume != nil && c.phase() == v1alpha1.PhaseReady && !c.absent() && c.bound &&
		!c.growing() && c.volume.Spec.SizeBytes < 12*gib
}
