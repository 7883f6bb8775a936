package capacity

import (
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// simClaim is a claim and what became of it.
type simClaim struct {
	world  *world
	number int
	pod    *simPod

	// claim is the object as the API server has it.
	claim          Claim
	bound, deleted bool
	deletedAt      time.Time
	selectedAt     time.Time

	// volume is its LogicalVolume, never changed in place; nil when there is none.
	volume *v1alpha1.LogicalVolume
	// lost is one that vanished without an order while its LV stays.
	lost *v1alpha1.LogicalVolume
	call *call
	// finished is the seqno of the report that came with the ready tag, orderedAt when the last growth was ordered and
	// orderEvent where in the log; createEvent is where in the log the object was made.
	finished    int64
	orderedAt   time.Time
	orderEvent  int
	createEvent int
	// madeAt is the counter when its LV was made, attempts its last Reserve by node.
	madeAt   uint64
	attempts map[*simNode]attempt
}

// wanted tells whether csi-provisioner calls for the claim. It ends a call that it has begun whatever becomes of the
// claim, but begins none for one that is deleted.
func (c *simClaim) wanted() bool {
	return !c.bound && !c.deleted && c.claim.SelectedNode != ""
}

// write publishes the claim as it is now.
func (c *simClaim) write() {
	c.claim.ResourceVersion = c.world.next()
	c.world.claimLog = append(c.world.claimLog, claimEvent{at: c.world.now, of: c, claim: c.claim, bound: c.bound})
}

func (c *simClaim) remove() {
	if c.deleted {
		return
	}
	c.deleted, c.deletedAt = true, c.world.now
	c.world.claimLog = append(c.world.claimLog, claimEvent{at: c.world.now, of: c, deleted: true})
	c.world.say("claim %s is deleted", c.claim.UID)
}

// selectNode writes selected-node under VolumeBinding's optimistic lock.
func (c *simClaim) selectNode(node string, version uint64) bool {
	if c.deleted || c.claim.ResourceVersion != version {
		c.world.say("claim %s: write of selected-node %s fails", c.claim.UID, node)
		return false
	}
	if c.claim.SelectedNode != node {
		c.claim.SelectedNode, c.selectedAt = node, c.world.now
		c.write()
	}
	c.world.say("claim %s: selected-node is %s", c.claim.UID, node)
	c.keepOpen()
	return true
}

func (c *simClaim) keepOpen() {
	if !slices.Contains(c.world.open, c) {
		c.world.open = append(c.world.open, c)
	}
}

func (c *simClaim) node() *simNode {
	for _, n := range c.world.nodes {
		if n.name == c.volume.Spec.NodeName {
			return n
		}
	}
	return nil
}

// order creates the LogicalVolume.
func (c *simClaim) order(node string, size int64) {
	w := c.world
	c.finished, c.orderedAt, c.createEvent = 0, time.Time{}, len(w.volumeLog)
	c.change(&v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name: c.claim.VolumeID(), UID: types.UID(strconv.FormatUint(w.next(), 10)), Generation: 1,
			CreationTimestamp: metav1.NewTime(w.now.Truncate(time.Second)),
		},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName: node, DeviceClass: "ssd", SizeBytes: size, State: v1alpha1.StatePresent,
			ClaimRef: v1alpha1.ClaimReference{UID: c.claim.UID},
		},
	})
}

// change publishes the volume's next state.
func (c *simClaim) change(v *v1alpha1.LogicalVolume) {
	v.ResourceVersion = strconv.FormatUint(c.world.next(), 10)
	c.volume = v
	c.world.volumeLog = append(c.world.volumeLog, volumeEvent{at: c.world.now, object: v})
	c.keepOpen()
	if c.world.tracing {
		c.world.say("volume %s on %s: %q %s, %d GiB of %d", v.Name, v.Spec.NodeName, v.Status.Phase, v.Spec.State,
			v.Status.AllocatedBytes/gib, v.Spec.SizeBytes/gib)
	}
}

// update is change of a copy.
func (c *simClaim) update(with func(*v1alpha1.LogicalVolume)) {
	v := *c.volume
	with(&v)
	c.change(&v)
}

// drop deletes the object.
func (c *simClaim) drop() {
	c.world.volumeLog = append(c.world.volumeLog, volumeEvent{at: c.world.now, object: c.volume, deleted: true})
	c.world.say("volume %s on %s: object is deleted", c.volume.Name, c.volume.Spec.NodeName)
	c.volume = nil
}

// vanish deletes the object without an order.
func (c *simClaim) vanish() {
	if _, made := c.node().lvs[c.volume.Name]; made {
		c.lost = c.volume
	}
	c.drop()
}

// mayVanish: one that was never seen by a scheduler, whose watch broke meanwhile, cannot be counted by it.
func (c *simClaim) mayVanish() bool {
	unseen := func(s *simScheduler) bool { return s.volumes <= c.createEvent }
	return c.volume != nil && !c.absent() && c.lost == nil && !slices.ContainsFunc(c.world.schedulers, unseen)
}

func (c *simClaim) phase() v1alpha1.VolumePhase { return c.volume.Status.Phase }

func (c *simClaim) absent() bool {
	return c.volume != nil && c.volume.Spec.State == v1alpha1.StateAbsent
}

func (c *simClaim) orderAbsent() {
	c.update(func(v *v1alpha1.LogicalVolume) { v.Spec.State = v1alpha1.StateAbsent })
}

// expand orders growth of a volume that is Ready.
func (c *simClaim) expand(size int64) {
	c.orderedAt, c.orderEvent = c.world.now, len(c.world.volumeLog)
	c.update(func(v *v1alpha1.LogicalVolume) { v.Spec.SizeBytes += size; v.Generation++ })
}

// revert takes a refused expansion back.
func (c *simClaim) revert() {
	c.update(func(v *v1alpha1.LogicalVolume) { v.Spec.SizeBytes = v.Status.AllocatedBytes; v.Generation++ })
}

// settled: nobody has anything to do with the claim's volume any more.
func (c *simClaim) settled() bool {
	if c.call != nil || c.lost != nil || c.wanted() {
		return false
	}
	if c.volume == nil {
		return c.deleted || c.bound || c.claim.SelectedNode == ""
	}
	// One whose claim points nowhere waits for the claim to come back to it, or for its deletion.
	return c.phase() == v1alpha1.PhaseReady && !c.absent() && !c.growing() && !c.deleted && (c.bound || c.claim.SelectedNode == "")
}

func (c *simClaim) growing() bool { return c.volume.Spec.SizeBytes > c.volume.Status.AllocatedBytes }

// call is one CreateVolume.
type call struct {
	claim   *simClaim
	node    string
	since   time.Time
	ordered bool
	// refused: the object was withdrawn, and the answer is ResourceExhausted.
	refused, ended bool
}

// startCall lets csi-provisioner call CreateVolume for the node that the claim names.
func (w *world) startCall(c *simClaim) {
	c.call = &call{claim: c, node: c.claim.SelectedNode, since: w.now}
	w.calls = append(w.calls, c.call)
	w.say("claim %s: CreateVolume for %s begins", c.claim.UID, c.call.node)
}

func (c *call) end(how string) {
	c.ended, c.claim.call = true, nil
	w := c.claim.world
	w.calls = slices.DeleteFunc(w.calls, func(other *call) bool { return other == c })
	w.say("claim %s: CreateVolume ends: %s", c.claim.claim.UID, how)
}

// step takes a call one step further. luck makes it give up where it may.
func (c *call) step(luck uint32) {
	switch claim := c.claim; {
	case c.refused:
		c.reschedule()
	case claim.volume == nil && c.ordered:
		c.end("the object has gone")
	case claim.volume == nil:
		c.ordered = true
		claim.order(c.node, claim.claim.SizeBytes)
	case claim.absent():
		c.end("the volume is being removed")
	case claim.phase() == v1alpha1.PhaseFailed:
		// An earlier attempt's answer is not this one's.
		claim.drop()
		c.refused = c.ordered
	case claim.volume.Spec.NodeName != c.node:
		c.relocate()
	case claim.phase() == v1alpha1.PhaseReady:
		c.bind()
	case luck%8 == 1 && claim.phase() == v1alpha1.PhasePending:
		claim.drop()
		c.refused = true
	case luck%8 == 2:
		c.ordered = true
		c.end("no time left")
	default:
		c.ordered = true
	}
}

// reschedule is csi-provisioner's answer to ResourceExhausted.
func (c *call) reschedule() {
	c.end("resource exhausted")
	if claim := c.claim; !claim.deleted && claim.claim.SelectedNode == c.node {
		claim.claim.SelectedNode = ""
		claim.write()
	}
}

// relocate deals with a volume that an earlier call made elsewhere.
func (c *call) relocate() {
	if c.claim.phase() == v1alpha1.PhasePending {
		c.claim.drop()
		return
	}
	c.claim.orderAbsent()
	c.end("an earlier volume is in the way")
}

func (c *call) bind() {
	c.end("ready")
	if c.claim.deleted {
		return
	}
	c.claim.bound = true
	c.claim.write()
}

// reclaim removes the volume of a claim that is gone, as DeleteVolume or the janitor does.
func (c *simClaim) reclaim() {
	if !c.deleted || c.call != nil || c.volume == nil || c.absent() {
		return
	}
	switch c.phase() {
	case v1alpha1.PhaseReady:
		c.orderAbsent()
	case v1alpha1.PhaseFailed, v1alpha1.PhasePending:
		c.drop()
	}
}
