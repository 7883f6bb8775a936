package agent

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
)

const (
	// lookEvery is how often file and metadata areas are looked at: direct reads of some blocks, no LVM.
	lookEvery = 2 * time.Second
	// rescanEvery is how often LVM is asked while a configured volume group is not there, misses physical volumes,
	// or could not be reported.
	rescanEvery = 30 * time.Second
	// prepareRetry is the pause between attempts to begin.
	prepareRetry = 2 * time.Second
)

// prepare does, before anything is served, what a crash or a reboot leaves to do: suspended devices are resumed and
// our LVs activated.
func (a *Agent) prepare(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	for {
		node, err := a.node(ctx)
		if err == nil {
			a.config.setLabels(node.Labels)
			break
		}
		logger.Error(err, "Read the agent's own Node")
		if !sleep(ctx, prepareRetry) {
			return ctx.Err()
		}
	}
	a.reloadConfig(ctx)
	if err := a.groups.report(ctx); err != nil {
		logger.Error(err, "First report")
		return ctx.Err()
	}
	a.resume(ctx)
	a.activate(ctx)
	return ctx.Err()
}

// resume frees devices of ours that a command which died left suspended.
func (a *Agent) resume(ctx context.Context) {
	var devices []string
	for vg, o := range a.groups.sighting().groups {
		for _, lv := range owned(o.vg) {
			if lv.Active {
				devices = append(devices, dm.Name(vg, lv.Name))
			}
		}
		for _, pool := range ownPools(o.vg) {
			devices = append(devices, dm.Name(vg, pool.Name)+"-tpool")
		}
	}
	if len(devices) == 0 {
		return
	}
	logger := klog.FromContext(ctx)
	resumed, err := a.options.Resume(ctx, devices)
	if len(resumed) > 0 {
		logger.Info("Resumed suspended devices", "devices", resumed)
	}
	if err != nil {
		// A device that stays suspended is its volume's misfortune; the others are served.
		logger.Error(err, "Resume suspended devices")
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// activate makes our inactive LVs usable, one execution of LVM per volume group that has any.
func (a *Agent) activate(ctx context.Context) {
	for vg, o := range a.groups.sighting().groups {
		var inactive []string
		for _, lv := range owned(o.vg) {
			if !lv.Active {
				inactive = append(inactive, lv.Name)
			}
		}
		inactive = append(inactive, inactivePools(a.configInForce(), o.vg)...)
		if len(inactive) == 0 || o.vg.Refusal != "" {
			continue
		}
		logger := klog.FromContext(ctx)
		logger.Info("Activate volumes", "volumeGroup", vg, "volumes", len(inactive))
		if err := a.options.Manager.Activate(ctx, vg, inactive); err != nil {
			// Each volume is activated by itself when it is staged.
			logger.Error(err, "Activate volumes", "volumeGroup", vg)
		}
	}
}

// inactivePools are the pools to activate, ours and those that the configuration names: one that is not active says neither
// how full it is nor whether it works, and takes nothing new.
func inactivePools(config Config, vg lvm.VolumeGroup) []string {
	var names []string
	for _, lv := range vg.LogicalVolumes {
		configured := slices.ContainsFunc(config.ThinPools, func(c ThinPoolConfig) bool { return c.VolumeGroup == vg.Name && c.Name == lv.Name })
		if lv.Type == lvm.TypeThinPool && !lv.Active && (configured || lvm.ParseTags(lv.Tags).Owned) {
			names = append(names, lv.Name)
		}
	}
	return names
}

// reloadConfig takes the configuration file's present content and returns whether it is news.
func (a *Agent) reloadConfig(ctx context.Context) bool {
	if !a.config.refresh() {
		return false
	}
	config, err := a.config.current()
	if err != nil {
		klog.FromContext(ctx).Error(err, "Configuration is refused, the last good one stays in force")
	} else {
		klog.FromContext(ctx).Info("Configuration is in force", "volumeGroups", config.VolumeGroupNames(), "deviceClasses", len(config.DeviceClasses))
	}
	a.groups.configure(config.VolumeGroupNames())
	return true
}

// watchLVM notices what changes outside: the configuration, the volume groups, the node's labels.
func (a *Agent) watchLVM(ctx context.Context) {
	lastReport, lastLabels := time.Now(), time.Now()
	for sleep(ctx, lookEvery) {
		if time.Since(lastLabels) > heartbeat {
			lastLabels = time.Now()
			a.refreshLabels(ctx)
		}
		reload := a.reloadConfig(ctx)
		changed, missing := a.groups.look(ctx)
		failed := a.groups.sighting().err != nil
		due := time.Since(lastReport) > rescanEvery+rand.N(rescanEvery/10)
		if !reload && (!changed || failed) && (!missing && !failed || !due) {
			continue
		}
		lastReport = time.Now()
		before := a.groups.sighting()
		if err := a.groups.report(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Report")
		}
		if appeared(before, a.groups.sighting()) {
			a.activate(ctx)
		}
	}
}

// watchDevices asks the kernel what LVM's metadata do not tell: how full thin pools are, and how legs fare.
func (a *Agent) watchDevices(ctx context.Context) {
	for {
		a.pools.look(ctx)
		a.legs.look(ctx)
		if !sleep(ctx, poolEvery) {
			return
		}
	}
}

// appeared is true when a volume group is there that was not, and may hold inactive LVs of ours.
func appeared(before, after sighting) bool {
	for name, o := range after.groups {
		if o.found && !before.groups[name].found {
			return true
		}
	}
	return false
}

// refreshLabels reads the node's labels, which choose the configuration's overrides.
func (a *Agent) refreshLabels(ctx context.Context) {
	node, err := a.node(ctx)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Read the agent's own Node")
		return
	}
	a.config.setLabels(node.Labels)
	config, _ := a.config.current()
	a.groups.configure(config.VolumeGroupNames())
}

// inspectNews follows reports: what they say about objects, and what is to be published.
func (a *Agent) inspectNews(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.news:
			a.inspect(ctx)
			a.publisher.notify()
		}
	}
}

// inspect queues LVs of ours that have no object here, and objects whose LV came or went.
func (a *Agent) inspect(ctx context.Context) {
	for _, o := range a.groups.sighting().groups {
		for _, lv := range owned(o.vg) {
			if _, err := a.volumes.lister.Get(lv.Name); err != nil {
				a.volumes.queue.Add(lv.Name)
			}
		}
	}
	objects, err := a.volumes.lister.List(labels.Everything())
	if err != nil {
		klog.FromContext(ctx).Error(err, "List LogicalVolumes")
		return
	}
	for _, object := range objects {
		if object.Status.Phase != v1alpha1.PhaseReady {
			continue
		}
		if len(a.volumes.turnedConditions(object)) > 0 {
			a.volumes.queue.Add(object.Name)
		}
	}
}
