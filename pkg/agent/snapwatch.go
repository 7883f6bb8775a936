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

// fullness is what is wrong with how full a thick snapshot is; the zero value is nothing.
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

// errFullSize: a snapshot can hold all changes of its volume already.
var errFullSize = errors.New("snapshot is as large as it can be")

// growSnapshot extends a snapshot by a step, out of the bytes held back for growth. One that can hold all changes of its
// volume is left as it is.
// Errors: lvm.ErrNoSpace, those of lvm.Manager.Extend and of reports.
func (v *volumes) growSnapshot(ctx context.Context, vgName, name string) error {
	var request lvm.ExtendRequest
	err := v.reserves.grow(ctx, vgName, func(vg lvm.VolumeGroup, space *lvm.Space) (func(context.Context) error, error) {
		var err error
		request, err = placeSnapshotGrowth(vg, space, name)
		return func(ctx context.Context) error { return v.groups.manager.Extend(ctx, request) }, err
	})
	if errors.Is(err, errFullSize) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("extend it out of the growth reserve: %w", err)
	}
	klog.FromContext(ctx).Info("Extended a snapshot", "volumeID", name, "volumeGroup", vgName, "size", exactBytes(request.SizeBytes))
	v.queue.Add(name)
	return nil
}

// placeSnapshotGrowth chooses a snapshot's next size and where the new bytes go. space is what growth may take.
// Errors: errFullSize, lvm.ErrNoSpace.
func placeSnapshotGrowth(vg lvm.VolumeGroup, space *lvm.Space, name string) (lvm.ExtendRequest, error) {
	lv, _ := vg.LogicalVolume(name)
	origin, ok := vg.LogicalVolume(lv.Origin)
	if !ok || !lv.ThickSnapshot() {
		return lvm.ExtendRequest{}, errFullSize
	}
	step := min(origin.SizeBytes/100*snapshotExtendBy, lvm.MaximumSnapshotBytes(origin.SizeBytes, vg.ExtentSizeBytes)-lv.SizeBytes)
	if step <= 0 {
		return lvm.ExtendRequest{}, errFullSize
	}
	// What is left is better than nothing.
	if free := space.FreeBytes() / vg.ExtentSizeBytes * vg.ExtentSizeBytes; free > 0 {
		step = min(step, free)
	}
	placement, err := space.Place(lvm.Request{SizeBytes: step})
	return lvm.ExtendRequest{
		VolumeGroup: vg.Name, Name: name, Layout: lvm.Layout{Type: lvm.LayoutLinear},
		SizeBytes: lv.SizeBytes + placement.SizeBytes, PhysicalVolumes: placement.PhysicalVolumes,
	}, err
}
