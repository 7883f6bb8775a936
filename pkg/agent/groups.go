package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"

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

// report asks LVM for all configured volume groups. It returns when a report that began after the call is stored;
// calls that come while one runs share the next.
func (g *groups) report(ctx context.Context) error {
	g.mu.Lock()
	g.stamp++
	want := g.stamp
	g.mu.Unlock()
	select {
	case <-g.reporting:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { g.reporting <- struct{}{} }()
	g.mu.Lock()
	if g.whole >= want {
		err := g.err
		g.mu.Unlock()
		return err
	}
	g.mu.Unlock()
	err := g.run(ctx)
	g.changed()
	return err
}

// run makes one complete report; the caller holds the reporting token.
func (g *groups) run(ctx context.Context) error {
	g.mu.Lock()
	g.stamp++
	begin, at, names := g.stamp, time.Now(), slices.Clone(g.names)
	devices := map[string][]string{}
	for _, name := range names {
		devices[name] = g.devices(name)
	}
	g.mu.Unlock()
	fingerprints := map[string]string{}
	for name, list := range devices {
		fingerprints[name] = g.fingerprintOf(list)
	}
	report := lvm.Report{}
	var err error
	if len(names) > 0 {
		ctx, cancel := context.WithTimeout(ctx, reportTimeout)
		report, err = g.manager.Report(ctx, names)
		cancel()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.whole, g.err, g.at = begin, err, at
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, name := range names {
		vg, found := report.VolumeGroups[name]
		// Of a volume group whose physical volumes changed the fingerprint is not of what is reported; the next
		// look settles it.
		fingerprint := fingerprints[name]
		if !slices.Equal(devices[name], devicesOf(vg)) {
			fingerprint = ""
		}
		g.store(name, begin, observation{found, vg, at}, fingerprint)
	}
	return nil
}

// store takes an observation unless a newer one is there; the caller holds mu.
func (g *groups) store(name string, begin int64, o observation, fingerprint string) {
	if !slices.Contains(g.names, name) {
		return
	}
	old := g.known[name]
	if old == nil {
		old = &group{}
		g.known[name] = old
	}
	if begin <= old.stamp {
		return
	}
	old.observation, old.stamp = o, begin
	if old.predicted != nil && begin <= old.predictedStamp {
		return
	}
	old.predicted, old.fingerprint = nil, fingerprint
}

// finish puts the ready tag on an LV and stores the report that comes with it.
// Errors: those of lvm.Manager.Finish.
func (g *groups) finish(ctx context.Context, name, lv string) (lvm.VolumeGroup, error) {
	g.mu.Lock()
	g.stamp++
	begin, at := g.stamp, time.Now()
	g.mu.Unlock()
	report, err := g.manager.Finish(ctx, name, lv)
	if err != nil {
		return lvm.VolumeGroup{}, err
	}
	vg, found := report.VolumeGroups[name]
	if !found {
		return lvm.VolumeGroup{}, fmt.Errorf("finish %s/%s: volume group: %w", name, lv, lvm.ErrNotFound)
	}
	fingerprint := g.fingerprintOf(devicesOf(vg))
	g.mu.Lock()
	g.store(name, begin, observation{true, vg, at}, fingerprint)
	g.mu.Unlock()
	g.changed()
	return vg, nil
}

// predict notes a creation of ours that succeeded, so that the next one can be placed without a report. Where the LV
// may lie on several physical volumes its shares are not known, and the next one reports.
// The caller holds the volume group's lock.
func (g *groups) predict(before lvm.VolumeGroup, request lvm.CreateRequest) {
	after := before
	after.PhysicalVolumes = slices.Clone(before.PhysicalVolumes)
	after.LogicalVolumes = append(slices.Clone(before.LogicalVolumes), lvm.LogicalVolume{
		Name: request.Name, SizeBytes: request.SizeBytes, Tags: append([]string{lvm.TagOwned}, request.Tags...), Active: true,
	})
	after.FreeBytes -= request.SizeBytes
	for i := range after.PhysicalVolumes {
		if after.PhysicalVolumes[i].Name == request.PhysicalVolumes[0] {
			after.PhysicalVolumes[i].FreeBytes -= request.SizeBytes
		}
	}
	fingerprint := ""
	if len(request.PhysicalVolumes) == 1 {
		fingerprint = g.fingerprintOf(devicesOf(after))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := g.known[before.Name]; k != nil {
		g.stamp++
		k.predicted, k.predictedStamp, k.fingerprint = &after, g.stamp, fingerprint
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

// unchanged is a volume group as known if its fingerprint is still the same.
func (g *groups) unchanged(name string) (lvm.VolumeGroup, bool) {
	g.mu.Lock()
	k := g.known[name]
	if k == nil || !k.found || k.fingerprint == "" {
		g.mu.Unlock()
		return lvm.VolumeGroup{}, false
	}
	at, stamp, predictedStamp, want, devices := time.Now(), k.stamp, k.predictedStamp, k.fingerprint, g.devices(name)
	g.mu.Unlock()
	if g.fingerprintOf(devices) != want {
		return lvm.VolumeGroup{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	k = g.known[name]
	if k == nil || k.stamp != stamp || k.predictedStamp != predictedStamp {
		return lvm.VolumeGroup{}, false
	}
	if k.predicted != nil {
		return *k.predicted, true
	}
	k.at = at
	return k.vg, true
}

// look checks all volume groups that no creation of ours is busy with, and returns whether a report is needed: one
// has changed (changed), or is not there or not whole (missing).
func (g *groups) look(ctx context.Context) (changed, missing bool) {
	for _, name := range g.namesNow() {
		o, known := g.observed(name)
		if !known || !o.found || o.vg.MissingPhysicalVolumes > 0 {
			missing = true
			continue
		}
		if g.busy(name) {
			continue
		}
		if _, same := g.unchanged(name); !same {
			klog.FromContext(ctx).V(2).Info("Volume group changed", "volumeGroup", name)
			changed = true
		}
	}
	return changed, missing
}

func (g *groups) busy(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.locks[name]) > 0
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

// devices are the physical volumes last seen; the caller holds mu.
func (g *groups) devices(name string) []string {
	if k := g.known[name]; k != nil {
		return devicesOf(k.vg)
	}
	return nil
}

func devicesOf(vg lvm.VolumeGroup) []string {
	var names []string
	for _, pv := range vg.PhysicalVolumes {
		if !pv.Missing {
			names = append(names, pv.Name)
		}
	}
	return names
}

// fingerprintOf joins the devices' fingerprints. A device that cannot be read has its error as fingerprint: that it
// can be read again is a change like any other.
func (g *groups) fingerprintOf(devices []string) string {
	var b strings.Builder
	for _, device := range devices {
		print, err := g.fingerprint(device)
		if err != nil {
			print = err.Error()
		}
		fmt.Fprintf(&b, "%s=%s;", device, print)
	}
	return b.String()
}
