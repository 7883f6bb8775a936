package capacity

import "time"

// Stats is the ledger in numbers, for metrics.
type Stats struct {
	// ReservedBytes are promised and in no report yet, by who speaks for them.
	ReservedBytes map[Source]int64
	// Tombstones count what has gone and may still take space, by kind.
	Tombstones map[Tombstone]int
	// OldestReport is the age of the oldest agent's sign of life among nodes with a report; Silent counts nodes with
	// a report and no sign of life at all, ClockOff those whose agent's clock is off.
	OldestReport     time.Duration
	Reports          int
	Silent, ClockOff int
	Waiting          int
	// Refusals counts volumes that an agent refused for lack of space; Woken the pods activated because space came
	// free.
	Refusals, Woken uint64
}

// Source tells who speaks for a promise.
type Source string

// Sources, from the strongest to the weakest.
const (
	SourceVolume   Source = "volume"
	SourceSelected Source = "selected"
	SourceReserved Source = "reserved"
	SourceBridged  Source = "bridged"
)

// source is a Source as the ledger counts by it.
type source uint8

const (
	byVolume source = iota
	bySelected
	byReserved
	byBridge
	sources
)

var sourceNames = [sources]Source{byVolume: SourceVolume, bySelected: SourceSelected, byReserved: SourceReserved, byBridge: SourceBridged}

// Tombstone is a kind of promise that only time or a later report ends.
type Tombstone string

// Tombstones: a reservation taken back whose write may land, a claim gone or bound whose LogicalVolume may come, a
// LogicalVolume gone whose LV may be there.
const (
	TombstoneLoose    Tombstone = "unreserved"
	TombstoneBridged  Tombstone = "claim"
	TombstoneVanished Tombstone = "volume"
)

// Stats adds the ledger up. It takes time in proportion to the nodes, not to the volumes.
func (l *Ledger) Stats() Stats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	now := l.now()
	s := Stats{
		ReservedBytes: make(map[Source]int64, sources),
		Tombstones:    map[Tombstone]int{TombstoneLoose: 0, TombstoneBridged: 0, TombstoneVanished: 0},
		Waiting:       len(l.waiters), Refusals: l.refusals, Woken: l.woken,
	}
	for i, name := range sourceNames {
		s.ReservedBytes[name] = l.heldBytes[i]
	}
	for _, n := range l.nodes {
		if n.report == nil {
			continue
		}
		s.Reports++
		if n.report.clockOff {
			s.ClockOff++
		}
		if n.agentSeenAt.IsZero() {
			s.Silent++
		} else {
			s.OldestReport = max(s.OldestReport, now.Sub(n.agentSeenAt))
		}
	}
	for name := range l.timed {
		n := l.nodes[name]
		for id := range n.timed {
			n.promises[id].bury(s.Tombstones)
		}
	}
	return s
}

// bury counts what of the promise has gone.
func (p *promise) bury(stones map[Tombstone]int) {
	if !p.looseUntil.none() {
		stones[TombstoneLoose]++
	}
	if !p.bridgedUntil.none() {
		stones[TombstoneBridged]++
	}
	if p.vanished != nil {
		stones[TombstoneVanished]++
	}
}

func (p *promise) source() source {
	switch {
	case p.placed():
		return byVolume
	case p.selected:
		return bySelected
	case len(p.reservedBy) > 0:
		return byReserved
	default:
		return byBridge
	}
}
