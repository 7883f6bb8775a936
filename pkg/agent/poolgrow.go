package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// poolPercents is how much of a pool is used, rounded down.
type poolPercents struct{ data, metadata int64 }

func percents(pool lvm.ThinPool) poolPercents {
	return poolPercents{percentOf(pool.DataUsedBytes, pool.SizeBytes), percentOf(pool.MetadataUsedBytes, pool.MetadataSizeBytes)}
}

func percentOf(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return int64(float64(part) / float64(whole) * 100)
}

// growth is by how much the pool's data and metadata are to be extended now, in whole extents; 0 for not.
func (c ThinPoolConfig) growth(pool lvm.ThinPool, extentSizeBytes int64) (data, metadata int64) {
	used := percents(pool)
	if c.ExtendAtPercent >= 100 || extentSizeBytes <= 0 {
		return 0, 0
	}
	step := func(bytes int64) int64 {
		return lvm.SaturatingAdd(bytes/100*c.ExtendByPercent, extentSizeBytes-1) / extentSizeBytes * extentSizeBytes
	}
	if used.data >= c.ExtendAtPercent {
		data = max(step(pool.SizeBytes), extentSizeBytes)
	}
	if used.metadata >= min(c.ExtendAtPercent, metadataExtendPercent) {
		most := (mostPoolMetadataBytes - pool.MetadataSizeBytes) / extentSizeBytes * extentSizeBytes
		metadata = max(min(max(step(pool.MetadataSizeBytes), extentSizeBytes), most), 0)
	}
	return data, metadata
}

func (c ThinPoolConfig) wantsGrowth(pool lvm.ThinPool, extentSizeBytes int64) bool {
	data, metadata := c.growth(pool, extentSizeBytes)
	return data > 0 || metadata > 0
}

// extend gives a pool more data and metadata out of the growth reserve: what it is to have, or what there is. It returns
// when to try again, and why it could not.
func (p *pools) extend(ctx context.Context, c ThinPoolConfig) (retryAt time.Time, failure error) {
	var request lvm.PoolRequest
	err := p.reserves.grow(ctx, c.VolumeGroup, func(vg lvm.VolumeGroup, space *lvm.Space) (func(context.Context) error, error) {
		var err error
		request, err = p.extension(ctx, c, vg, space)
		return func(ctx context.Context) error { return p.manager.ExtendPool(ctx, request) }, err
	})
	if err == nil {
		p.metrics.poolExtensions.WithLabelValues(c.VolumeGroup, c.Name).Inc()
		klog.FromContext(ctx).Info("Extended thin pool", "volumeGroup", c.VolumeGroup, "thinPool", c.Name,
			"size", exactBytes(request.SizeBytes), "metadataSize", exactBytes(request.MetadataSizeBytes))
		return time.Time{}, nil
	}
	if shortage := (*lvm.Shortage)(nil); errors.As(err, &shortage) {
		// Nothing was run; space may come free at any time.
		return time.Time{}, fmt.Errorf("growth reserve of volume group %s: %w", c.VolumeGroup, err)
	}
	klog.FromContext(ctx).Error(err, "Extend thin pool", "volumeGroup", c.VolumeGroup, "thinPool", c.Name)
	return time.Now().Add(poolRetry), err
}

// extension chooses sizes and physical volumes. Metadata come first: a pool without is worse off than one without data.
// Errors: *lvm.Shortage, lvm.ErrNotFound (the pool).
func (p *pools) extension(ctx context.Context, c ThinPoolConfig, vg lvm.VolumeGroup, space *lvm.Space) (lvm.PoolRequest, error) {
	pool, ok := thinPoolOf(vg, c.Name)
	if !ok {
		return lvm.PoolRequest{}, fmt.Errorf("thin pool %s/%s: %w", vg.Name, c.Name, lvm.ErrNotFound)
	}
	now, _, _ := p.read(ctx, vg.Name, pool)
	wantedData, wantedMetadata := c.growth(now, vg.ExtentSizeBytes)
	extents := func(bytes int64) int64 { return bytes / vg.ExtentSizeBytes * vg.ExtentSizeBytes }
	free := space.FreeBytes()
	// The spare for repairs grows with the metadata.
	metadata := min(wantedMetadata, extents(free/2))
	data := min(wantedData, extents(free-2*metadata))
	if data == 0 && metadata == 0 {
		return lvm.PoolRequest{}, &lvm.Shortage{WantedBytes: lvm.SaturatingAdd(wantedData, 2*wantedMetadata), FreeBytes: free}
	}
	placement, err := space.Place(lvm.Request{SizeBytes: data + 2*metadata})
	return lvm.PoolRequest{
		VolumeGroup: vg.Name, Name: c.Name, SizeBytes: pool.SizeBytes + data, MetadataSizeBytes: pool.MetadataSizeBytes + metadata,
		PhysicalVolumes: placement.PhysicalVolumes, ErrorWhenFull: c.WhenFull == WhenFullError,
	}, err
}

// tendAbsent makes a configured pool that is not there, or says why not.
func (p *pools) tendAbsent(ctx context.Context, c ThinPoolConfig, vg lvm.VolumeGroup, before poolState) poolState {
	where := fmt.Sprintf("thin pool %s/%s", c.VolumeGroup, c.Name)
	after := poolState{absent: true, retryAt: before.retryAt, failure: before.failure}
	switch lost := p.volumesIn(c); {
	case lost > 0:
		// A new one would be made on the extents that the old one may still be restored from.
		after.problem = problem{v1alpha1.ReasonThinPoolMissing, fmt.Sprintf("%s is not there, but %d volumes in it are Ready: it is not made again", where, lost)}
		return after
	case c.SizeBytes == 0:
		after.problem = problem{v1alpha1.ReasonThinPoolMissing, where + " is not there, and the configuration gives no size to make it with"}
		return after
	}
	if !time.Now().Before(before.retryAt) {
		after.failure, after.retryAt = p.make(ctx, c), time.Now().Add(poolRetry)
		if after.failure != nil && (before.failure == nil || before.failure.Error() != after.failure.Error()) {
			klog.FromContext(ctx).Error(after.failure, "Make thin pool", "volumeGroup", c.VolumeGroup, "thinPool", c.Name)
		}
	}
	if after.failure == nil {
		// The next look finds it.
		return poolState{}
	}
	after.problem = problem{v1alpha1.ReasonThinPoolNotMade, fmt.Sprintf("%s cannot be made: %v", where, after.failure)}
	return after
}

// volumesIn counts the Ready volumes of the classes that name the pool.
func (p *pools) volumesIn(c ThinPoolConfig) int {
	objects, err := p.objects.List(labels.Everything())
	if err != nil {
		return 0
	}
	config, n := p.config(), 0
	for _, object := range objects {
		class, _, ok := config.Class(object.Spec.DeviceClass)
		if ok && class.Layout.ThinPool == c.Name && class.VolumeGroup == c.VolumeGroup && object.Status.VolumeGroup.Name == c.VolumeGroup &&
			object.Status.Phase == v1alpha1.PhaseReady {
			n++
		}
	}
	return n
}

// make makes the pool, where new volumes would find room.
func (p *pools) make(ctx context.Context, c ThinPoolConfig) error {
	unlock, err := p.groups.lock(ctx, c.VolumeGroup)
	if err != nil {
		return err
	}
	defer unlock()
	vg, err := p.groups.current(ctx, c.VolumeGroup)
	if err != nil {
		return err
	}
	if _, there := thinPoolOf(vg, c.Name); there {
		return nil
	}
	if _, taken := vg.LogicalVolume(c.Name); taken {
		return fmt.Errorf("logical volume %s/%s is no thin pool: %w", vg.Name, c.Name, lvm.ErrExists)
	}
	if reason := vg.Unusable(); reason != "" {
		return fmt.Errorf("%s: %w", reason, lvm.ErrUnusable)
	}
	request, err := p.newPool(c, vg)
	if err != nil {
		return err
	}
	if err := p.manager.CreatePool(ctx, request); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Made thin pool", "volumeGroup", vg.Name, "thinPool", c.Name, "size", exactBytes(request.SizeBytes),
		"metadataSize", exactBytes(request.MetadataSizeBytes))
	return p.groups.report(ctx)
}

// newPool chooses sizes and physical volumes. The bytes of volumes that are ordered already are theirs.
// Errors: those of lvm.Space.Place, and ErrInvalidSize.
func (p *pools) newPool(c ThinPoolConfig, vg lvm.VolumeGroup) (lvm.PoolRequest, error) {
	size, err := lvm.RoundUp(c.SizeBytes, vg.ExtentSizeBytes)
	if err != nil {
		return lvm.PoolRequest{}, err
	}
	metadata, err := lvm.RoundUp(c.metadataBytes(), vg.ExtentSizeBytes)
	if err != nil {
		return lvm.PoolRequest{}, err
	}
	config := p.config()
	held, _ := config.VolumeGroup(vg.Name)
	space := vg.Space(held.HeldBytes()).Promise(p.ordered(config, vg))
	// LVM keeps a spare of the metadata's size for repairs.
	placement, err := space.Place(lvm.Request{SizeBytes: lvm.SaturatingAdd(size, 2*metadata)})
	return lvm.PoolRequest{
		VolumeGroup: vg.Name, Name: c.Name, SizeBytes: size, MetadataSizeBytes: metadata,
		PhysicalVolumes: placement.PhysicalVolumes, ErrorWhenFull: c.WhenFull == WhenFullError,
	}, err
}

// metadataBytes are 64 for each 64 KiB of data (lvmthin(7)), but enough for many small volumes.
func (c ThinPoolConfig) metadataBytes() int64 {
	if c.MetadataSizeBytes > 0 {
		return c.MetadataSizeBytes
	}
	const least = 8 << 20
	return min(max(c.SizeBytes/1024, least), mostPoolMetadataBytes)
}

// ordered are the volumes that are to be made in a volume group and are not there yet.
func (p *pools) ordered(config Config, vg lvm.VolumeGroup) []lvm.Request {
	objects, err := p.objects.List(labels.Everything())
	if err != nil {
		return nil
	}
	var requests []lvm.Request
	for _, object := range objects {
		class, _, ok := config.Class(object.Spec.DeviceClass)
		_, made := vg.LogicalVolume(object.Name)
		if ok && !made && class.VolumeGroup == vg.Name && object.Spec.State != v1alpha1.StateAbsent &&
			(object.Status.Phase == v1alpha1.PhasePending || object.Status.Phase == v1alpha1.PhaseAccepted) {
			requests = append(requests, lvm.Request{SizeBytes: object.Spec.SizeBytes, Layout: layoutOf(class, object)})
		}
	}
	return requests
}
