package capacity

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Periods of the ledger.
const (
	// renewalPeriod is how often an agent renews its Lease.
	renewalPeriod = time.Minute
	// looseFor is how long an un-reserved claim counts when no event tells whether its selected-node was written: the
	// API client's own limit for one write.
	looseFor = time.Minute
	// bridgeFor is how long a claim that is deleted or bound counts while its LogicalVolume has not been seen: twice
	// csi-provisioner's time limit for CreateVolume. A LogicalVolume that appears counts by itself.
	bridgeFor = 2 * time.Minute
	// vanishedFor limits how long a vanished LogicalVolume counts when no later report comes: longer than an agent's
	// heartbeat.
	vanishedFor = 15 * time.Minute
	// clockMargin is what the agent's and this host's clock may differ by where a report is asked to be later than an
	// event seen here.
	clockMargin = 10 * time.Second
	// readyMargin is the same where nothing but the clocks says that a report includes a volume.
	readyMargin = time.Minute
	// barredFor limits how long a refusal keeps a claim off a node when no later report comes.
	barredFor = time.Minute
)

// volume is the part of a LogicalVolume that decisions read.
type volume struct {
	id, node, deviceClass string
	claimUID              types.UID
	sizeBytes             int64
	state                 v1alpha1.VolumeState
	phase                 v1alpha1.VolumePhase
	code                  string
	allocatedBytes        int64
	group                 v1alpha1.VolumeGroupReference
	createdAt             time.Time
	// readyAt is when this process first saw the volume Ready.
	readyAt time.Time
	// growthRefused: the agent answered the present size with a refusal, so that no bytes are on their way.
	growthRefused bool
}

func newVolume(object *v1alpha1.LogicalVolume, now time.Time) *volume {
	v := &volume{
		id: object.Name, node: object.Spec.NodeName, deviceClass: object.Spec.DeviceClass,
		claimUID: object.Spec.ClaimRef.UID, sizeBytes: object.Spec.SizeBytes, state: object.Spec.State,
		phase: object.Status.Phase, code: object.Status.Code, allocatedBytes: object.Status.AllocatedBytes,
		group: object.Status.VolumeGroup, createdAt: object.CreationTimestamp.Time,
	}
	v.growthRefused = object.GrowthRefused()
	if v.phase == v1alpha1.PhaseReady {
		v.readyAt = now
	}
	return v
}

// failed: refused for good, nothing is on disk.
func (v *volume) failed() bool { return v.phase == v1alpha1.PhaseFailed }

// targetBytes is the size to which the volume may grow without another question.
func (v *volume) targetBytes() int64 {
	if v.growthRefused {
		return min(v.sizeBytes, v.allocatedBytes)
	}
	return v.sizeBytes
}

// promise is what is known of one volume on one node. At least one of its fields is set.
type promise struct {
	deviceClass string
	sizeBytes   int64

	// volume is the LogicalVolume object, or nil.
	volume *volume
	// selected: the claim names this node as selected-node and is not bound.
	selected bool
	// reservedBy are the pods that reserved the claim here and whose write has not been seen.
	reservedBy map[types.UID]struct{}
	// reservedVersion is the claim's resourceVersion at Reserve.
	reservedVersion uint64
	// looseUntil, bridgedUntil: the reservation or the claim is gone, and its write or its CreateVolume may still land.
	looseUntil, bridgedUntil time.Time
	// vanished is a LogicalVolume object that went away although the LV may be there and is in no report.
	vanished   *volume
	vanishedAt time.Time
}

// empty: nobody speaks of the volume any more.
func (p *promise) empty() bool {
	return p.volume == nil && !p.selected && len(p.reservedBy) == 0 && p.vanished == nil &&
		p.looseUntil.IsZero() && p.bridgedUntil.IsZero()
}

// timed: time alone can end the promise or change what it holds.
func (p *promise) timed() bool {
	return p.vanished != nil || !p.looseUntil.IsZero() || !p.bridgedUntil.IsZero()
}

// expire drops what time or the node's report has ended, and tells whether anything was.
func (p *promise) expire(now time.Time, r *report) bool {
	changed := false
	if !p.looseUntil.IsZero() && now.After(p.looseUntil) {
		p.looseUntil, changed = time.Time{}, true
	}
	if !p.bridgedUntil.IsZero() && now.After(p.bridgedUntil) {
		p.bridgedUntil, changed = time.Time{}, true
	}
	if p.vanished != nil && (now.After(p.vanishedAt.Add(vanishedFor)) ||
		r != nil && r.observedAt.After(p.vanishedAt.Add(clockMargin))) {
		p.vanished, p.vanishedAt, changed = nil, time.Time{}, true
	}
	return changed
}

// placed: a LogicalVolume orders the volume here, so the claim asks for nothing more.
func (p *promise) placed() bool { return p.volume != nil && !p.volume.failed() }

// beingMade: the agent has the volume to make, or will have.
func (p *promise) beingMade() bool {
	if p.placed() {
		return p.volume.state == v1alpha1.StatePresent && p.volume.phase != v1alpha1.PhaseReady
	}
	size, _, _ := p.held()
	return size > 0 && p.vanished == nil
}

// held is the promise's size, device class and volume group (empty: by class) as far as it still counts.
func (p *promise) held() (sizeBytes int64, class, group string) {
	v := p.volume
	if v == nil {
		v = p.vanished
	}
	switch {
	case v != nil && !v.failed():
		return v.targetBytes(), v.deviceClass, v.group.Name
	case len(p.reservedBy) > 0 || !p.looseUntil.IsZero() || !p.bridgedUntil.IsZero():
		return p.sizeBytes, p.deviceClass, ""
	case p.selected && v == nil:
		// With a refused LogicalVolume the claim is on its way to another node and holds nothing here.
		return p.sizeBytes, p.deviceClass, ""
	}
	return 0, "", ""
}

// groupOf is the volume group of the report that the promise counts in. A class that the node no longer serves has
// none: the agent refuses such a volume without taking bytes.
func (p *promise) groupOf(r *report) (*volumeGroup, int64) {
	size, class, name := p.held()
	if size <= 0 {
		return nil, 0
	}
	if group, ok := r.groups[name]; ok && name != "" {
		return group, size
	}
	group, ok := r.group(class)
	if !ok {
		return nil, 0
	}
	return group, size
}

// includedBytes is the size with which the group's report includes the volume; 0 when it does not.
func (p *promise) includedBytes(id string, group *volumeGroup, observedAt time.Time) int64 {
	if size, ok := group.recent[id]; ok {
		return size
	}
	v := p.volume
	if v == nil {
		v = p.vanished
	}
	if v == nil || v.allocatedBytes == 0 {
		return 0
	}
	bySeqno := v.group.UUID == group.uuid && v.group.Seqno > 0 && v.group.Seqno <= group.seqno && group.seqno >= group.maxSeqno
	// A volume that was Ready well before the report was taken is in it: on disk and counted, or lost with a restored
	// backup and taking nothing.
	byTime := !v.readyAt.IsZero() && observedAt.After(v.readyAt.Add(readyMargin))
	if bySeqno || byTime {
		return v.allocatedBytes
	}
	return 0
}
