package capacity

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// promise is what is known of one volume on one node. At least one of its fields but the first two is set.
type promise struct {
	deviceClass string
	sizeBytes   int64

	// volume is the LogicalVolume object, or nil.
	volume *volume
	// selected: the claim names this node as selected-node and is not bound.
	selected bool
	// reservedBy are the pods that reserved the claim here and whose write has not been seen.
	reservedBy map[types.UID]reservation
	// looseUntil: a reservation was taken back and its write may still land; looseVersion is the claim's
	// resourceVersion that the write has.
	looseUntil   instant
	looseVersion uint64
	// bridgedUntil: the claim is gone or bound, and its LogicalVolume may still be on its way to us.
	bridgedUntil instant
	// vanished is a LogicalVolume object that went away although the LV may be there and is in no report.
	vanished   *volume
	vanishedAt instant

	// counted is what the promise holds now, indexed whether it is in the ledger's reservedOn.
	counted counted
	indexed bool
}

// reservation is one pod's. version is the claim's resourceVersion with which its write is made, or a newer one.
type reservation struct {
	version   uint64
	simulated bool
}

// empty: nobody speaks of the volume any more.
func (p *promise) empty() bool {
	return p.volume == nil && p.vanished == nil && !p.claimed()
}

// reserved: a reservation, or what an Unreserve left of one, waits for the claim's next event.
func (p *promise) reserved() bool { return len(p.reservedBy) > 0 || !p.looseUntil.none() }

// timed: time alone can end the promise or change what it holds.
func (p *promise) timed() bool {
	return p.vanished != nil || !p.looseUntil.none() || !p.bridgedUntil.none()
}

// expire drops what time or the node's report has ended, and tells whether anything was.
func (p *promise) expire(now time.Time, r *report) bool {
	changed := false
	if !p.looseUntil.none() && p.looseUntil.before(now, 0) {
		p.looseUntil, changed = 0, true
	}
	if !p.bridgedUntil.none() && p.bridgedUntil.before(now, 0) {
		p.bridgedUntil, changed = 0, true
	}
	if p.vanished != nil && (p.vanishedAt.before(now, vanishedFor) || r != nil && p.vanishedAt.before(r.observedAt, clockMargin)) {
		p.vanished, p.vanishedAt, changed = nil, 0, true
	}
	return changed
}

// reserve enters a pod's reservation.
func (p *promise) reserve(pod types.UID, r reservation) {
	if p.reservedBy == nil {
		p.reservedBy = map[types.UID]reservation{}
	}
	p.reservedBy[pod] = r
}

// answered drops the reservations whose write an event of the claim tells about: one of a newer version than theirs,
// or of the same if it names this node already. Such a write has landed, and selected-node, the claim's volume or the
// refusal of it speaks from now on; or it has failed, or will, by its resourceVersion. It tells whether there was one.
func (p *promise) answered(version uint64, here bool) bool {
	tells := func(used uint64) bool { return version > used || version == used && here }
	any := false
	for pod, r := range p.reservedBy {
		if tells(r.version) {
			delete(p.reservedBy, pod)
			any = true
		}
	}
	if !p.looseUntil.none() && tells(p.looseVersion) {
		p.looseUntil, any = 0, true
	}
	return any
}

// placed: a LogicalVolume orders the volume here, so the claim asks for nothing more.
func (p *promise) placed() bool { return p.volume != nil && !p.volume.failed }

// made: the LogicalVolume is Ready.
func (p *promise) made() bool { return p.volume != nil && !p.volume.sizedAt.none() }

// beingMade: the agent has the volume to make, or will have.
func (p *promise) beingMade() bool {
	if p.placed() {
		return !p.volume.absent && !p.made()
	}
	return p.claimed()
}

// speaker is the LogicalVolume that says what the promise holds, or nil. For one that vanished the claim speaks where it
// can: what was made may be lost, and what will be made may be made elsewhere on the node.
func (p *promise) speaker() *volume {
	if p.placed() {
		return p.volume
	}
	if p.claimed() {
		return nil
	}
	return p.vanished
}

// claimed: the claim asks for the volume here, or did.
func (p *promise) claimed() bool { return p.selected || p.reserved() || !p.bridgedUntil.none() }

// held is the promise's size, device class and volume group (empty: by class) as far as it still counts. A selected
// claim counts whether or not its LogicalVolume was refused: the refusal may be of an earlier attempt.
func (p *promise) held() (sizeBytes int64, class, group string) {
	if v := p.speaker(); v != nil {
		return v.targetBytes(), v.deviceClass, v.group.Name
	}
	if p.claimed() {
		return p.sizeBytes, p.deviceClass, ""
	}
	return 0, "", ""
}

// groupOf is the volume group of the report that the promise counts in, with its size. There is none for a class that
// the node no longer serves: the agent refuses such a volume without taking bytes. And there is none for a volume that
// was made in a volume group that is not reported: it is elsewhere, or lost.
func (p *promise) groupOf(id string, r *report) (*volumeGroup, int64) {
	size, class, name := p.held()
	if size <= 0 {
		return nil, 0
	}
	if v := p.speaker(); v != nil && v.group.UUID != "" {
		return r.groupByUUID(name, v.group.UUID), size
	}
	// The class may have moved to another volume group after the LV was made.
	if group := r.listing(id); group != nil {
		return group, size
	}
	group, ok := r.group(class)
	if !ok {
		return nil, 0
	}
	return group, size
}

// listing is the volume group that lists the volume as there, or nil.
func (r *report) listing(id string) *volumeGroup {
	for _, group := range r.groups {
		if _, ok := group.recent[id]; ok {
			return group
		}
	}
	return nil
}

// groupByUUID finds a volume group that may have been renamed since; nil when it is not reported.
func (r *report) groupByUUID(name, uuid string) *volumeGroup {
	if group, ok := r.groups[name]; ok && group.uuid == uuid {
		return group
	}
	for _, group := range r.groups {
		if group.uuid == uuid {
			return group
		}
	}
	return nil
}

// includedBytes is the size with which the group's report includes the volume; 0 when it does not.
func (p *promise) includedBytes(id string, group *volumeGroup, observedAt time.Time) int64 {
	listed, isListed := group.recent[id]
	v := p.speaker()
	if v == nil || v.allocatedBytes == 0 {
		return listed
	}
	// A volume that had its size well before the report was taken is in it: on disk and counted, or lost with a
	// restored backup, wholly or in part, and taking nothing.
	if !v.sizedAt.none() && v.sizedAt.before(observedAt, clockMargin) {
		return max(listed, v.allocatedBytes)
	}
	if isListed {
		return listed
	}
	// Without seqno it was not made by an agent of ours but adopted: it has been there longer than we look.
	adopted := v.group.Seqno == 0
	bySeqno := v.group.UUID == group.uuid && v.group.Seqno <= group.seqno && group.seqno >= group.maxSeqno
	if adopted || bySeqno {
		return v.allocatedBytes
	}
	return v.formerBytes
}
