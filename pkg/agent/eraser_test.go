package agent

import (
	"context"
	"path/filepath"
	"strings"
	"sync"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

// fakeEraser remembers what was asked for, and which LVs are zeroed from end to end.
type fakeEraser struct {
	rig *rig

	mu    sync.Mutex
	modes []v1alpha1.EraseMode
	bytes []int64
	// zeroed are UUIDs of LVs; respond is asked before any zeroing.
	zeroed  map[string]bool
	respond func(ctx context.Context, name string) error
}

func (e *fakeEraser) Erase(ctx context.Context, device string, mode v1alpha1.EraseMode, bytes int64) error {
	name := strings.TrimPrefix(strings.ReplaceAll(filepath.Base(device), "--", "-"), "vg0-")
	e.mu.Lock()
	e.modes, e.bytes = append(e.modes, mode), append(e.bytes, bytes)
	respond := e.respond
	e.mu.Unlock()
	if mode != v1alpha1.EraseZero {
		return nil
	}
	lv := e.rig.onDisk(name)
	if respond != nil {
		if err := respond(ctx, name); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if lv != nil && bytes == lv.SizeBytes {
		if e.zeroed == nil {
			e.zeroed = map[string]bool{}
		}
		e.zeroed[lv.UUID] = true
	}
	return nil
}

func (e *fakeEraser) setRespond(respond func(ctx context.Context, name string) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.respond = respond
}

func (e *fakeEraser) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.modes)
}

func (e *fakeEraser) isZeroed(uuid string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.zeroed[uuid]
}

// guard is the agent's way to LVM. It fails the test when a block volume is given extents that are not zeroed.
type guard struct {
	*lvmfake.Manager
	rig *rig
}

func (g guard) Extend(ctx context.Context, request lvm.ExtendRequest) error {
	if lv := g.rig.onDisk(request.Name); lv != nil && lvm.ParseTags(lv.Tags).FSType == "" && lv.Type != lvm.LayoutThin {
		g.rig.t.Errorf("block volume %s is extended as it is", request.Name)
	}
	return g.Manager.Extend(ctx, request)
}

func (g guard) Absorb(ctx context.Context, request lvm.AbsorbRequest) (lvm.Report, error) {
	if !g.rig.eraser.isZeroed(request.DonorUUID) {
		g.rig.t.Errorf("volume %s is given %s, which is not zeroed", request.Name, request.Donor)
	}
	return g.Manager.Absorb(ctx, request)
}
