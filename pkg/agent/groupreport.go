package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

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
// The caller holds the volume group's lock.
// Errors: those of lvm.Manager.Finish.
func (g *groups) finish(ctx context.Context, name, lv string) (lvm.VolumeGroup, error) {
	return g.change(name, func() (lvm.Report, error) { return g.manager.Finish(ctx, name, lv) })
}

// absorb gives an LV the extents of another and stores the report that comes with it.
// The caller holds the volume group's lock.
// Errors: those of lvm.Manager.Absorb.
func (g *groups) absorb(ctx context.Context, request lvm.AbsorbRequest) (lvm.VolumeGroup, error) {
	return g.change(request.VolumeGroup, func() (lvm.Report, error) { return g.manager.Absorb(ctx, request) })
}

// adopt makes an LV of an operator's Berth's and stores the report that comes with it.
// The caller holds the volume group's lock.
// Errors: those of lvm.Manager.Adopt.
func (g *groups) adopt(ctx context.Context, name, lv string, tags []string) (lvm.VolumeGroup, error) {
	return g.change(name, func() (lvm.Report, error) { return g.manager.Adopt(ctx, name, lv, tags...) })
}

// change runs a command on a volume group that reports it, too. A change from outside that falls between that report
// and the look at the metadata areas after it is seen with the next change; a placement that it misleads is refused
// by LVM and reported anew.
func (g *groups) change(name string, command func() (lvm.Report, error)) (lvm.VolumeGroup, error) {
	g.mu.Lock()
	g.stamp++
	begin, at := g.stamp, time.Now()
	g.mu.Unlock()
	report, err := command()
	if err != nil {
		return lvm.VolumeGroup{}, err
	}
	vg, found := report.VolumeGroups[name]
	if !found {
		return lvm.VolumeGroup{}, fmt.Errorf("volume group %s: %w", name, lvm.ErrNotFound)
	}
	fingerprint := g.fingerprintOf(devicesOf(vg))
	g.mu.Lock()
	g.store(name, begin, observation{true, vg, at}, fingerprint)
	g.mu.Unlock()
	g.changed()
	return vg, nil
}

// predict notes a creation of ours that succeeded, so that the next one can be placed without a report, and returns the
// new LV. Where a linear LV may lie on several physical volumes its shares are not known, and the next one reports.
// The caller holds the volume group's lock.
func (g *groups) predict(before lvm.VolumeGroup, request lvm.CreateRequest) lvm.LogicalVolume {
	lv := predicted(request)
	after := before
	after.PhysicalVolumes = slices.Clone(before.PhysicalVolumes)
	after.ThinPools = slices.Clone(before.ThinPools)
	after.LogicalVolumes = append(slices.Clone(before.LogicalVolumes), lv)
	for i := range after.ThinPools {
		if pool := &after.ThinPools[i]; pool.Name == lv.ThinPool {
			pool.VirtualBytes = lvm.SaturatingAdd(pool.VirtualBytes, lv.SizeBytes)
		}
	}
	share := shareOfEach(before, request)
	for i := range after.PhysicalVolumes {
		if slices.Contains(request.PhysicalVolumes, after.PhysicalVolumes[i].Name) {
			after.PhysicalVolumes[i].FreeBytes -= share
			after.FreeBytes -= share
		}
	}
	fingerprint := ""
	if len(request.PhysicalVolumes) < 2 || len(lv.Legs) > 0 {
		fingerprint = g.fingerprintOf(devicesOf(after))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := g.known[before.Name]; k != nil {
		g.stamp++
		k.predicted, k.predictedStamp, k.fingerprint = &after, g.stamp, fingerprint
	}
	return lv
}

// predicted is the LV that a creation makes.
func predicted(request lvm.CreateRequest) lvm.LogicalVolume {
	lv := lvm.LogicalVolume{
		Name: request.Name, SizeBytes: request.SizeBytes, Tags: append([]string{lvm.TagOwned}, request.Tags...), Active: true,
		Type: cmp.Or(request.Layout.Type, lvm.LayoutLinear), ThinPool: request.Layout.ThinPool,
	}
	if request.Layout.Legs() > 0 {
		for _, pv := range request.PhysicalVolumes {
			lv.Legs = append(lv.Legs, []string{pv})
		}
	}
	return lv
}

// shareOfEach is what a creation takes of each of its physical volumes: the same of each with legs, all of the only one
// without, and of several about that much.
func shareOfEach(before lvm.VolumeGroup, request lvm.CreateRequest) int64 {
	if len(request.PhysicalVolumes) == 0 {
		return 0
	}
	layout := request.Layout
	layout.OverheadBytes = 0 // the size has it already
	space := lvm.Space{ExtentSizeBytes: before.ExtentSizeBytes}
	return space.TakenBytes(lvm.Request{SizeBytes: request.SizeBytes, Layout: layout}) / int64(len(request.PhysicalVolumes))
}
