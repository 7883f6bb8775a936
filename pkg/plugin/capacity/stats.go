package capacity

import "time"

// Stats is the ledger in numbers, for metrics.
type Stats struct {
	// ReservedBytes are promised and in no report yet, by who speaks for them.
	ReservedBytes map[Source]int64
	// OldestReport is the age of the oldest agent's sign of life among nodes with a report; Silent counts nodes with
	// a report and no sign of life at all.
	OldestReport time.Duration
	Silent       int
	Reports      int
	Waiting      int
	// Refusals counts volumes that an agent refused; Woken the pods activated because space came free.
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

// Stats adds the ledger up.
func (l *Ledger) Stats() Stats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	now := l.now()
	s := Stats{
		ReservedBytes: map[Source]int64{SourceVolume: 0, SourceSelected: 0, SourceReserved: 0, SourceBridged: 0},
		Waiting:       len(l.waiters), Refusals: l.refusals, Woken: l.woken,
	}
	for _, n := range l.nodes {
		if n.report == nil {
			continue
		}
		s.Reports++
		if n.agentSeenAt.IsZero() {
			s.Silent++
		} else {
			s.OldestReport = max(s.OldestReport, now.Sub(n.agentSeenAt))
		}
		for id, p := range n.promises {
			if group, request, ok := n.report.request(id, p); ok {
				s.ReservedBytes[p.source()] += group.space.TakenBytes(request)
			}
		}
	}
	return s
}

func (p *promise) source() Source {
	switch {
	case p.placed():
		return SourceVolume
	case p.selected:
		return SourceSelected
	case len(p.reservedBy) > 0:
		return SourceReserved
	default:
		return SourceBridged
	}
}
