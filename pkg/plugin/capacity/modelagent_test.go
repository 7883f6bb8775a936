package capacity

import (
	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// work is the agent's next step with a claim's volume.
func (c *simClaim) work() {
	if c.lost != nil {
		c.recover()
		return
	}
	if c.volume == nil {
		return
	}
	n := c.node()
	_, made := n.lvs[c.volume.Name]
	switch phase := c.phase(); {
	case c.absent() && made:
		n.remove(c.volume.Name)
		c.world.say("%s: lvremove %s", n.name, c.volume.Name)
	case c.absent():
		c.drop()
	case phase == v1alpha1.PhasePending:
		c.update(func(v *v1alpha1.LogicalVolume) { v.Status.Phase = v1alpha1.PhaseAccepted })
	case phase == v1alpha1.PhaseAccepted && !made:
		c.create(n)
	case phase == v1alpha1.PhaseAccepted && c.finished == 0:
		n.seqno++
		c.finished = n.seqno
	case phase == v1alpha1.PhaseAccepted:
		c.ready(n, c.finished)
	case phase == v1alpha1.PhaseReady && made:
		c.maintain(n)
	case phase == v1alpha1.PhaseReady && c.volume.GrowthRefused():
		c.revert()
	case phase == v1alpha1.PhaseReady && c.growing():
		c.refuseGrowth(codes.FailedPrecondition)
	}
}

func (c *simClaim) refuseGrowth(code codes.Code) {
	c.update(func(v *v1alpha1.LogicalVolume) {
		v.Status.Code, v.Status.ObservedGeneration = code.String(), v.Generation
	})
}

// create is lvcreate, and where a wrong promise shows.
func (c *simClaim) create(n *simNode) {
	if rounded, ok := n.fit(c.volume.Spec.SizeBytes); ok {
		n.make(c.volume.Name, rounded)
		c.finished, c.madeAt = 0, c.world.next()
		c.world.say("%s: lvcreate %s of %d GiB leaves %d", n.name, c.volume.Name, rounded/gib, n.availableBytes()/gib)
		return
	}
	c.world.checkRefusal(c, n)
	n.look()
	c.update(func(v *v1alpha1.LogicalVolume) {
		v.Status.Phase, v.Status.Code = v1alpha1.PhaseFailed, codes.ResourceExhausted.String()
	})
}

// ready writes phase Ready with the LV's size and the seqno of a report that shows it.
func (c *simClaim) ready(n *simNode, seqno int64) {
	c.update(func(v *v1alpha1.LogicalVolume) {
		v.Status = v1alpha1.LogicalVolumeStatus{
			Phase: v1alpha1.PhaseReady, AllocatedBytes: n.lvs[v.Name], ObservedGeneration: v.Generation,
			VolumeGroup: v1alpha1.VolumeGroupReference{Name: "vg-ssd", UUID: n.uuid, Seqno: seqno},
		}
	})
}

// maintain makes a volume grow, in two steps: the LV, then the status.
func (c *simClaim) maintain(n *simNode) {
	status, size := &c.volume.Status, n.lvs[c.volume.Name]
	wanted, _ := lvm.RoundUp(c.volume.Spec.SizeBytes, gib)
	switch missing := wanted - size; {
	case size > status.AllocatedBytes:
		c.ready(n, n.seqno)
	case c.volume.GrowthRefused():
		c.revert()
	case missing <= 0 || !c.growing() || !c.world.hasty && c.world.now.Sub(c.orderedAt) < expansionLag:
	default:
		c.grow(n, missing)
	}
}

// grow takes extents for a volume, from what the volumes ordered before leave.
func (c *simClaim) grow(n *simNode, missing int64) {
	promised := int64(0)
	for _, other := range c.world.open {
		if !c.world.hasty && other != c {
			promised += other.promisedOn(n)
		}
	}
	if _, ok := n.fit(missing + promised); !ok {
		c.refuseGrowth(codes.OutOfRange)
		return
	}
	n.make(c.volume.Name, n.lvs[c.volume.Name]+missing)
	if c.world.hasty {
		n.drawn(c.orderEvent)
	}
	c.world.say("%s: lvextend %s by %d GiB leaves %d", n.name, c.volume.Name, missing/gib, n.availableBytes()/gib)
}

// promisedOn is what will be taken of a node for a volume that is not made yet.
func (c *simClaim) promisedOn(n *simNode) int64 {
	if v := c.volume; v != nil && v.Spec.NodeName == n.name {
		if _, made := n.lvs[v.Name]; made || c.absent() || c.phase() == v1alpha1.PhaseFailed {
			return 0
		}
		return c.claim.SizeBytes
	}
	if c.wanted() && c.claim.SelectedNode == n.name || c.call != nil && c.call.node == n.name {
		return c.claim.SizeBytes
	}
	return 0
}

// recover makes a lost object again from the LV, if the volume was ever Ready and nobody ordered a new one.
func (c *simClaim) recover() {
	lost, n := c.lost, c.world.nodeOf(c.lost)
	_, made := n.lvs[lost.Name]
	switch {
	case !made || c.volume != nil && c.volume.Spec.NodeName == n.name:
		c.lost = nil
	case c.volume == nil && lost.Status.Phase == v1alpha1.PhaseReady:
		c.lost = nil
		c.order(n.name, n.lvs[lost.Name])
		c.ready(n, n.seqno)
	case c.volume != nil || c.call == nil && !c.wanted():
		c.leaveOrphan()
	}
}

// leaveOrphan leaves an LV that was never Ready on the disk, for a person to remove.
func (c *simClaim) leaveOrphan() {
	n := c.world.nodeOf(c.lost)
	n.foreignBytes += n.lvs[c.lost.Name]
	delete(n.lvs, c.lost.Name)
	c.lost = nil
}

func (w *world) nodeOf(v *v1alpha1.LogicalVolume) *simNode {
	for _, n := range w.nodes {
		if n.name == v.Spec.NodeName {
			return n
		}
	}
	return nil
}
