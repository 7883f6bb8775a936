package capacity

import (
	"fmt"
	"slices"
	"strconv"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

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
