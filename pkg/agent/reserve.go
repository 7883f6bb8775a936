package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
)

// reserves is what is left of the growth reserves. A growth reserve is free bytes that only growth of the agent's own may
// take: of thin pools, and of snapshots. What growth takes makes the reserve smaller, not what new volumes can have, for
// that may be promised; what comes free fills it up again first. Safe for concurrent use.
//
// It is remembered in this process only. After a restart the reserve is whole again, as far as bytes are free.
type reserves struct {
	groups *groups
	config func() Config

	mu    sync.Mutex
	known map[string]*reserve
}

// reserve is a volume group's.
type reserve struct {
	uuid string
	// freeBytes are as seen at that time.
	freeBytes int64
	at        time.Time
	// usedBytes are what growth took and has not come free since.
	usedBytes int64
	// growing: free bytes change by what goes on.
	growing bool
}

// observe takes what a sighting shows.
func (r *reserves) observe(s sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, o := range s.groups {
		if !o.found {
			continue
		}
		known := r.known[name]
		if known == nil || known.uuid != o.vg.UUID {
			r.known[name] = &reserve{uuid: o.vg.UUID, freeBytes: o.vg.FreeBytes, at: o.at}
			continue
		}
		// A sighting of the very moment in which growth ended may be the one before it.
		if !known.growing && o.at.After(known.at) {
			known.see(o.vg.FreeBytes, o.at)
		}
	}
}

// see fills the reserve up with what came free.
func (r *reserve) see(freeBytes int64, at time.Time) {
	r.usedBytes = max(r.usedBytes-max(freeBytes-r.freeBytes, 0), 0)
	r.freeBytes, r.at = freeBytes, at
}

// apply is a configuration with the reserves as they are.
func (r *reserves) apply(config Config) Config {
	config.VolumeGroups = slices.Clone(config.VolumeGroups)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range config.VolumeGroups {
		c := &config.VolumeGroups[i]
		if known := r.known[c.Name]; known != nil {
			c.GrowthReserveBytes = max(c.GrowthReserveBytes-known.usedBytes, 0)
		}
	}
	return config
}

// grow makes something in a volume group grow out of its reserve. plan is given the volume group as it is, and as space
// what of the reserve is free; it returns the command that takes what it chose. When that has ended, well or not, the
// volume group is reported.
// Errors: those of plan and of the command; ErrNotFound, ErrUnusable (volume group), those of lvm.Manager.Report.
func (r *reserves) grow(ctx context.Context, vgName string,
	plan func(vg lvm.VolumeGroup, space *lvm.Space) (command func(context.Context) error, err error),
) error {
	unlock, err := r.groups.lock(ctx, vgName)
	if err != nil {
		return err
	}
	defer unlock()
	vg, err := r.groups.current(ctx, vgName)
	if err != nil {
		return err
	}
	if reason := vg.Unusable(); reason != "" {
		return fmt.Errorf("volume group %s: %s: %w", vgName, reason, lvm.ErrUnusable)
	}
	c, _ := r.config().VolumeGroup(vgName)
	command, err := plan(vg, growthSpace(vg, c))
	if err != nil {
		return err
	}
	r.begin(vg)
	commandErr := command(ctx)
	reportErr := r.groups.report(ctx)
	r.end(vg)
	return errors.Join(commandErr, reportErr)
}

// growthSpace is a volume group with all held back but what growth may take: free bytes that are neither spare nor
// above the reserve.
func growthSpace(vg lvm.VolumeGroup, c VolumeGroupConfig) *lvm.Space {
	space := vg.Space(0)
	free := space.FreeBytes()
	space.HeldBytes = free - min(c.GrowthReserveBytes, max(free-c.SpareBytes, 0))
	return space
}

func (r *reserves) begin(vg lvm.VolumeGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[vg.Name]
	if known == nil || known.uuid != vg.UUID {
		known = &reserve{uuid: vg.UUID, freeBytes: vg.FreeBytes}
		r.known[vg.Name] = known
	}
	known.see(vg.FreeBytes, known.at)
	known.growing = true
}

// end counts what is less than before for used.
func (r *reserves) end(before lvm.VolumeGroup) {
	o, _ := r.groups.observed(before.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[before.Name]
	if known == nil || known.uuid != before.UUID {
		return
	}
	known.growing = false
	if o.found && o.vg.UUID == before.UUID {
		known.usedBytes = lvm.SaturatingAdd(known.usedBytes, max(before.FreeBytes-o.vg.FreeBytes, 0))
		known.freeBytes, known.at = o.vg.FreeBytes, o.at
	}
}
