package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
)

const (
	// snapshotLookEvery is how often the kernel is asked how full each thick snapshot is: one ioctl.
	snapshotLookEvery = 10 * time.Second
	// From this percentage on a snapshot is extended, each time by this percentage of its volume's size.
	snapshotExtendAt = 70
	snapshotExtendBy = 20
)

// fullness is how full a thick snapshot is.
type fullness struct {
	// lost: it overflowed. warning says why it may.
	lost    bool
	warning string
}

// fullnesses is what is known of the thick snapshots. Safe for concurrent use.
type fullnesses struct {
	mu sync.Mutex
	of map[string]fullness
}

func (f *fullnesses) get(name string) (fullness, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.of[name]
	return known, ok
}

// replace takes what was seen now and returns the names of which something else was known before.
func (f *fullnesses) replace(seen map[string]fullness) (changed []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, now := range seen {
		// The words change with every look, and are not news.
		if before, ok := f.of[name]; !ok || before.lost != now.lost || (before.warning == "") != (now.warning == "") {
			changed = append(changed, name)
		}
	}
	f.of = seen
	return changed
}

// watchSnapshots keeps thick snapshots from overflowing as long as there are bytes for it, and their conditions right.
func (v *volumes) watchSnapshots(ctx context.Context) {
	for sleep(ctx, snapshotLookEvery) {
		seen := map[string]fullness{}
		for _, o := range v.groups.sighting().groups {
			for _, lv := range owned(o.vg) {
				if !lv.ThickSnapshot() {
					continue
				}
				if f, known := v.lookAtSnapshot(ctx, o.vg.Name, lv); known {
					seen[lv.Name] = f
				}
			}
		}
		for _, name := range v.fullnesses.replace(seen) {
			v.queue.Add(name)
		}
	}
}

// lookAtSnapshot asks how full a snapshot is, and extends it in time. known is false when the kernel does not tell.
func (v *volumes) lookAtSnapshot(ctx context.Context, vgName string, lv lvm.LogicalVolume) (f fullness, known bool) {
	logger := klog.FromContext(ctx)
	status, err := v.snapshotStatus(vgName, lv.Name)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			logger.Error(err, "Look how full a snapshot is", "volumeID", lv.Name)
		}
		return fullness{lost: lv.Invalid}, lv.Invalid
	}
	if status.Invalid || status.Overflow {
		return fullness{lost: true}, true
	}
	if !nearlyFull(status) {
		return fullness{}, true
	}
	err = v.growSnapshot(ctx, vgName, lv.Name)
	if err == nil {
		return fullness{}, true
	}
	return fullness{warning: fmt.Sprintf("%s of %s hold changes of the volume; when all do the snapshot is lost: %v",
		exactBytes(status.UsedBytes), exactBytes(status.SizeBytes), err)}, true
}

func nearlyFull(status dm.Snapshot) bool {
	return status.UsedBytes >= status.SizeBytes/100*snapshotExtendAt
}

// growSnapshot extends a snapshot by a step, out of the bytes held back for growth. One that can hold all changes of its
// volume is left as it is.
// Errors: lvm.ErrNoSpace, those of lvm.Manager.Extend and of reports.
func (v *volumes) growSnapshot(ctx context.Context, vgName, name string) error {
	c, ok := v.config().VolumeGroup(vgName)
	if !ok {
		return fmt.Errorf("volume group %s is not configured", vgName)
	}
	unlock, err := v.groups.lock(ctx, vgName)
	if err != nil {
		return err
	}
	defer unlock()
	vg, err := v.groups.current(ctx, vgName)
	if err != nil {
		return err
	}
	lv, ok := vg.LogicalVolume(name)
	if !ok || !lv.ThickSnapshot() {
		return nil
	}
	request, err := placeSnapshotGrowth(c, vg, lv)
	if err != nil || request.SizeBytes == lv.SizeBytes {
		return err
	}
	if err := v.groups.manager.Extend(ctx, request); err != nil {
		return fmt.Errorf("extend: %w", err)
	}
	klog.FromContext(ctx).Info("Extended a snapshot", "volumeID", name, "volumeGroup", vgName, "size", exactBytes(request.SizeBytes))
	v.queue.Add(name)
	return v.groups.report(ctx)
}

// placeSnapshotGrowth chooses a snapshot's next size and where the new bytes go. The size is the present one when the
// snapshot can hold all there is.
// Errors: lvm.ErrNoSpace, when the volume group has nothing left for growth.
func placeSnapshotGrowth(c VolumeGroupConfig, vg lvm.VolumeGroup, lv lvm.LogicalVolume) (lvm.ExtendRequest, error) {
	request := lvm.ExtendRequest{VolumeGroup: vg.Name, Name: lv.Name, Layout: lvm.Layout{Type: lvm.LayoutLinear}, SizeBytes: lv.SizeBytes}
	origin, ok := vg.LogicalVolume(lv.Origin)
	if !ok {
		return request, nil
	}
	step := min(origin.SizeBytes/100*snapshotExtendBy, lvm.MaximumSnapshotBytes(origin.SizeBytes, vg.ExtentSizeBytes)-lv.SizeBytes)
	if step <= 0 {
		return request, nil
	}
	space := vg.Space(c.SpareBytes)
	left := min(c.GrowthReserveBytes, space.FreeBytes())
	step = min(max(step, vg.ExtentSizeBytes), left-left%vg.ExtentSizeBytes)
	if step <= 0 {
		return request, fmt.Errorf("no bytes left of the growth reserve of volume group %s: %w", vg.Name, lvm.ErrNoSpace)
	}
	placement, err := space.Place(lvm.Request{SizeBytes: step})
	if err != nil {
		return request, err
	}
	request.SizeBytes, request.PhysicalVolumes = lv.SizeBytes+placement.SizeBytes, placement.PhysicalVolumes
	return request, nil
}
