package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
)

const (
	// poolEvery is how often the kernel is asked how full pools are and how legs fare: an ioctl each, no LVM.
	poolEvery = 10 * time.Second
	// poolRetry is the pause after a command on a pool that LVM refused.
	poolRetry = time.Minute
	// extensionsAtOnce bounds the steps by which a pool grows in one look.
	extensionsAtOnce = 8
	// nearlyFullPercent is where a pool that is extended later, or never, counts as nearly full; metadataExtendPercent
	// is where metadata are extended at the latest. Both are before the limits past which nothing new is placed in a
	// pool (pkg/lvm, ThinPool).
	nearlyFullPercent     = 90
	metadataExtendPercent = 60
)

// pools looks after the thin pools: makes those that are not there, extends those that fill up, and says what is wrong
// with them. Safe for concurrent use.
type pools struct {
	groups   *groups
	reserves *reserves
	config   func() Config
	manager  lvm.Manager
	objects  client.Lister[*v1alpha1.LogicalVolume]
	status   func(volumeGroup, pool string) (dm.ThinPool, error)
	metrics  *metrics
	// changed is called, without locks, when there is something to publish; turned when a pool's problem is another.
	changed, turned func()

	mu    sync.Mutex
	known map[lvKey]poolState
}

// poolState is a pool as it was last looked at.
type poolState struct {
	// pool holds the used bytes as published: they follow the kernel's in whole percents.
	pool lvm.ThinPool
	// seen is true when the kernel told them.
	seen    bool
	problem problem
	// absent is true of a configured pool that is not there.
	absent bool
	// failure is of the last attempt to make or to extend the pool, retryAt when the next one is due.
	failure error
	retryAt time.Time
}

// look goes through all pools once.
func (p *pools) look(ctx context.Context) {
	known := map[lvKey]poolState{}
	changed, turned := false, false
	for _, c := range p.watched() {
		if ctx.Err() != nil {
			return
		}
		key := lvKey{c.VolumeGroup, c.Name}
		before := p.state(key)
		after, ok := p.tend(ctx, c, before)
		if !ok {
			continue
		}
		known[key] = after
		changed = changed || after.pool != before.pool || after.problem != before.problem
		if turn := after.problem.reason != before.problem.reason; turn {
			turned = true
			klog.FromContext(ctx).Info("Thin pool turned", "volumeGroup", c.VolumeGroup, "thinPool", c.Name,
				"reason", after.problem.reason, "message", after.problem.message)
		}
	}
	p.mu.Lock()
	changed = changed || len(known) != len(p.known)
	p.known = known
	p.mu.Unlock()
	if changed {
		p.changed()
	}
	if turned {
		p.turned()
	}
}

// watched are the configured pools, and those that hold volumes of ours and are not configured any more, which are
// never extended.
func (p *pools) watched() []ThinPoolConfig {
	config := p.config()
	list := append([]ThinPoolConfig(nil), config.ThinPools...)
	listed := map[lvKey]bool{}
	for _, c := range list {
		listed[lvKey{c.VolumeGroup, c.Name}] = true
	}
	for vgName, o := range p.groups.sighting().groups {
		for _, lv := range owned(o.vg) {
			if key := (lvKey{vgName, lv.ThinPool}); lv.ThinPool != "" && !listed[key] {
				listed[key] = true
				list = append(list, ThinPoolConfig{VolumeGroup: vgName, Name: lv.ThinPool, ExtendAtPercent: 100})
			}
		}
	}
	return list
}

// tend does for one pool what it needs. ok is false while nothing is known of its volume group.
func (p *pools) tend(ctx context.Context, c ThinPoolConfig, before poolState) (after poolState, ok bool) {
	o, _ := p.groups.observed(c.VolumeGroup)
	if !o.found || o.vg.Refusal != "" {
		return poolState{}, false
	}
	pool, there := thinPoolOf(o.vg, c.Name)
	if !there {
		return p.tendAbsent(ctx, c, o.vg, before), true
	}
	after = poolState{failure: before.failure, retryAt: before.retryAt}
	pool, kernel, seen := p.read(ctx, c.VolumeGroup, pool)
	for range extensionsAtOnce {
		if !c.wantsGrowth(pool, o.vg.ExtentSizeBytes) {
			after.failure = nil
			break
		}
		if time.Now().Before(after.retryAt) {
			break
		}
		if after.retryAt, after.failure = p.extend(ctx, c); after.failure != nil {
			break
		}
		o, _ = p.groups.observed(c.VolumeGroup)
		pool, _ = thinPoolOf(o.vg, c.Name)
		pool, kernel, seen = p.read(ctx, c.VolumeGroup, pool)
	}
	after.seen = seen
	after.pool = before.pool
	if seen != before.seen || percents(pool) != percents(before.pool) || pool.SizeBytes != before.pool.SizeBytes {
		after.pool = pool
	}
	after.problem = c.problem(pool, kernel, after.failure)
	return after, true
}

// read is a pool with what the kernel says is used, as fresh as can be. A pool that is not active keeps what LVM reported.
func (p *pools) read(ctx context.Context, vgName string, pool lvm.ThinPool) (lvm.ThinPool, dm.ThinPool, bool) {
	kernel, err := p.status(vgName, pool.Name)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			klog.FromContext(ctx).Error(err, "Status of a thin pool", "volumeGroup", vgName, "thinPool", pool.Name)
		}
		return pool, dm.ThinPool{}, false
	}
	if kernel.Mode != dm.PoolFailed {
		pool.DataUsedBytes, pool.MetadataUsedBytes = kernel.DataUsedBytes, kernel.MetadataUsedBytes
	}
	if kernel.Mode != dm.PoolReadWrite || kernel.NeedsCheck {
		// It takes nothing new, whatever is free in it: who places counts it as full.
		pool.DataUsedBytes = pool.SizeBytes
	}
	return pool, kernel, true
}

// fresh is the space of a volume group with one pool's used bytes as they are now.
func (p *pools) fresh(ctx context.Context, vgName string, space *lvm.Space, name string) {
	for i := range space.ThinPools {
		if pool := &space.ThinPools[i]; pool.Name == name {
			*pool, _, _ = p.read(ctx, vgName, *pool)
		}
	}
}

func (p *pools) state(key lvKey) poolState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[key]
}

// published are a volume group's pools: as LVM reported them, and the used bytes as last looked at.
func (p *pools) published(vg lvm.VolumeGroup) []v1alpha1.ThinPoolStatus {
	var list []v1alpha1.ThinPoolStatus
	for _, pool := range vg.ThinPools {
		if state := p.state(lvKey{vg.Name, pool.Name}); state.seen {
			pool.DataUsedBytes, pool.MetadataUsedBytes = state.pool.DataUsedBytes, state.pool.MetadataUsedBytes
		}
		list = append(list, v1alpha1.NewThinPoolStatus(pool))
	}
	return list
}

// problem is what is wrong with a pool that is there.
func (p *pools) problem(vgName, name string) (found problem, known bool) {
	if name == "" {
		return problem{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	state, known := p.known[lvKey{vgName, name}]
	return state.problem, known && !state.absent
}

// problems are those of configured pools that are not there, by which the node is not ready.
func (p *pools) problems() []problem {
	var list []problem
	for _, c := range p.config().ThinPools {
		if state := p.state(lvKey{c.VolumeGroup, c.Name}); state.absent {
			list = append(list, state.problem)
		}
	}
	return list
}

// thinPoolOf finds a pool by name.
func thinPoolOf(vg lvm.VolumeGroup, name string) (lvm.ThinPool, bool) {
	for _, pool := range vg.ThinPools {
		if pool.Name == name {
			return pool, true
		}
	}
	return lvm.ThinPool{}, false
}

// problem says what is wrong with a pool; failure is why it could not be extended.
func (c ThinPoolConfig) problem(pool lvm.ThinPool, kernel dm.ThinPool, failure error) problem {
	where := fmt.Sprintf("thin pool %s/%s", c.VolumeGroup, c.Name)
	used := percents(pool)
	switch {
	case kernel.Mode == dm.PoolFailed:
		return problem{v1alpha1.ReasonThinPoolFailed, where + " has failed: its volumes can neither be read nor written"}
	case kernel.NeedsCheck:
		return problem{v1alpha1.ReasonThinPoolNeedsCheck, where + " does not write before its metadata are repaired (lvconvert --repair)"}
	case kernel.Mode == dm.PoolReadOnly:
		return problem{v1alpha1.ReasonThinPoolReadOnly, where + " is read-only"}
	case kernel.Mode == dm.PoolOutOfSpace, used.data >= 100, used.metadata >= 100:
		text := where + " is full: writes to new places fail"
		if !kernel.ErrorWhenFull && c.WhenFull == WhenFullQueue {
			text = where + " is full: writes to new places wait, and fail after a minute by default"
		}
		return problem{v1alpha1.ReasonThinPoolFull, withCause(text, failure)}
	case failure != nil, used.data >= nearlyFullPercent, used.metadata >= nearlyFullPercent:
		text := fmt.Sprintf("%s is nearly full: %d %% of data and %d %% of metadata", where, used.data, used.metadata)
		return problem{v1alpha1.ReasonThinPoolNearlyFull, withCause(text, failure)}
	}
	return problem{}
}

func withCause(text string, cause error) string {
	if cause == nil {
		return text
	}
	return fmt.Sprintf("%s; it could not be extended: %v", text, cause)
}
