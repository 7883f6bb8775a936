package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/lvm"
)

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
