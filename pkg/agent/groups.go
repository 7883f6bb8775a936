package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// reportTimeout bounds one LVM report; a report may be killed.
const reportTimeout = 30 * time.Second

// groups is what the agent knows of the configured volume groups, and how it came to know it. Safe for concurrent
// use.
//
// Everything known carries a stamp from one counter, taken before the command that found it out, so that a slow
// report never overwrites what was learnt after it began.
type groups struct {
	manager lvm.Manager
	// fingerprint reads a physical volume's metadata area without running LVM.
	fingerprint func(device string) (string, error)
	// changed is called, without locks, after news.
	changed func()

	// reporting holds one token while no report runs.
	reporting chan struct{}

	mu    sync.Mutex
	names []string
	known map[string]*group
	locks map[string]chan struct{}
	stamp int64
	// whole is the stamp of the last complete report, err its error, at its start.
	whole int64
	err   error
	at    time.Time
}

// group is one volume group, or the knowledge that there is none of its name.
type group struct {
	observation
	stamp int64
	// fingerprint is of the metadata areas as they were at the observation, or at the prediction if there is one.
	fingerprint string
	// predicted is the volume group after a creation of ours that no report shows yet; it is for placing, never
	// for publishing.
	predicted      *lvm.VolumeGroup
	predictedStamp int64
}

// observation is a volume group as LVM reported it.
type observation struct {
	found bool
	vg    lvm.VolumeGroup
	// at is before the report began, or before a later look that found nothing changed.
	at time.Time
}

func newGroups(manager lvm.Manager, fingerprint func(string) (string, error), changed func()) *groups {
	g := &groups{
		manager: manager, fingerprint: fingerprint, changed: changed, reporting: make(chan struct{}, 1),
		known: map[string]*group{}, locks: map[string]chan struct{}{},
	}
	g.reporting <- struct{}{}
	return g
}

// configure sets which volume groups reports ask for; what is known of others is forgotten.
func (g *groups) configure(names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names = slices.Clone(names)
	for name := range g.known {
		if !slices.Contains(names, name) {
			delete(g.known, name)
		}
	}
}

// lock takes the volume group's lock, under which this agent places, creates and extends. It is not LVM's own lock:
// the Manager serialises commands, this makes looking and creating one step.
func (g *groups) lock(ctx context.Context, name string) (unlock func(), err error) {
	g.mu.Lock()
	lock := g.locks[name]
	if lock == nil {
		lock = make(chan struct{}, 1)
		g.locks[name] = lock
	}
	g.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("volume group %s: %w: %w", name, lvm.ErrBusy, context.Cause(ctx))
	}
}

// current is a volume group as it is now: as known when its metadata areas have not changed, else from a report.
// The caller holds the volume group's lock.
// Errors: ErrNotFound, and those of lvm.Manager.Report.
func (g *groups) current(ctx context.Context, name string) (lvm.VolumeGroup, error) {
	if vg, ok := g.unchanged(name); ok {
		return vg, nil
	}
	if err := g.report(ctx); err != nil {
		return lvm.VolumeGroup{}, err
	}
	return g.asKnown(name)
}

// asKnown is a volume group as last seen or predicted.
// Errors: ErrNotFound.
func (g *groups) asKnown(name string) (lvm.VolumeGroup, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.known[name]
	if k == nil || !k.found {
		return lvm.VolumeGroup{}, fmt.Errorf("volume group %s: %w", name, lvm.ErrNotFound)
	}
	if k.predicted != nil {
		return *k.predicted, nil
	}
	return k.vg, nil
}

func (g *groups) namesNow() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.names)
}

// observed is a volume group as last reported.
func (g *groups) observed(name string) (observation, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.known[name]
	if k == nil {
		return observation{}, false
	}
	return k.observation, true
}
