package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// fill gives a new volume its first bytes, beside the worker: a source's, or none (build). It goes on after a crash.
func (v *volumes) fill(ctx context.Context, object *v1alpha1.LogicalVolume, at place, fresh bool) error {
	if object.Spec.Source == nil {
		return v.build(ctx, object, at, fresh)
	}
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "volumeID", object.Name, "volumeGroup", at.vg.Name, "source", object.Spec.Source.Name)
	ctx = klog.NewContext(ctx, logger)
	if !lvm.ParseTags(at.lv.Tags).Filled {
		if err := v.copyInTurn(ctx, object, at.vg.Name, fresh); err != nil {
			return err
		}
	}
	return v.renew(ctx, object, at.vg.Name)
}

// renew gives the volume's file system an identity of its own. Inside an encrypted volume nothing can be changed here:
// the key comes with the first stage, and so does the new identity.
func (v *volumes) renew(ctx context.Context, object *v1alpha1.LogicalVolume, vgName string) error {
	if object.Spec.FSType == "" || object.Spec.Encryption != "" {
		return nil
	}
	device, err := v.device(ctx, vgName, object.Name)
	if err == nil {
		err = v.renewer.Renew(ctx, device, object.Spec.FSType)
	}
	if err != nil {
		return again(codes.Aborted, "", "new identity of %s on %s/%s: %w", object.Spec.FSType, vgName, object.Name, err)
	}
	return nil
}

// copyInTurn waits before the source is held still: what that sets aside fills with every write to the source.
func (v *volumes) copyInTurn(ctx context.Context, object *v1alpha1.LogicalVolume, vgName string, fresh bool) error {
	release, err := v.copies.take(ctx, vgName)
	if err != nil {
		return err
	}
	defer release()
	return v.copySource(ctx, object, fresh)
}

// copySource copies all of a volume's source. What an earlier attempt copied between the same two LVs is not copied again.
func (v *volumes) copySource(ctx context.Context, object *v1alpha1.LogicalVolume, fresh bool) error {
	from, err := v.holdSource(ctx, object)
	if err != nil {
		return err
	}
	to, ok := v.groups.find(object.Name)
	bytes, known := from.vg.ViewBytes(from.lv)
	if !ok || !known || bytes > to.lv.SizeBytes {
		return again(codes.FailedPrecondition, "", "copy %s of %s to %s of %s: a logical volume is missing, or too small",
			from.lv.Name, exactBytes(bytes), object.Name, exactBytes(to.lv.SizeBytes))
	}
	request, err := v.copyRequest(ctx, from, to)
	if err != nil {
		return again(codes.Aborted, "", "copy %s/%s: %w", from.vg.Name, from.lv.Name, err)
	}
	progress := &copyProgress{v: v, object: object, pair: from.lv.UUID + "/" + to.lv.UUID, bytes: bytes}
	resumed, err := progress.begin(ctx)
	if err != nil {
		return err
	}
	request.FromBytes, request.Bytes, request.Synced = progress.copied, bytes, progress.note
	// What another pair of LVs, or the start of this one, may have left in it must be overwritten.
	request.Zeroed = zeroed(to.vg, to.lv) && (fresh || resumed)
	klog.FromContext(ctx).V(2).Info("Copying", "from", from.lv.Name, "size", exactBytes(bytes), "begin", exactBytes(request.FromBytes))
	if err := v.copier.Copy(ctx, request); err != nil {
		return again(codes.Aborted, "", "copy %s/%s to %s/%s: %w", from.vg.Name, from.lv.Name, to.vg.Name, to.lv.Name, err)
	}
	if v.overflowed(from) {
		return again(codes.Aborted, v1alpha1.ReasonSnapshotOverflow, "copy %s/%s: it overflowed while it was copied", from.vg.Name, from.lv.Name)
	}
	if lvm.ParseTags(from.lv.Tags).LUKS {
		return v.groups.manager.Tag(ctx, to.vg.Name, to.lv.Name, lvm.TagLUKS)
	}
	return nil
}

func (v *volumes) copyRequest(ctx context.Context, from, to place) (request CopyRequest, err error) {
	if request.Source, err = v.device(ctx, from.vg.Name, from.lv.Name); err != nil {
		return CopyRequest{}, err
	}
	if request.Target, err = v.device(ctx, to.vg.Name, to.lv.Name); err != nil {
		return CopyRequest{}, err
	}
	request.TargetBytes = to.lv.SizeBytes
	return request, nil
}

// copyLogEvery is how often the progress of a copy is logged.
const copyLogEvery = 30 * time.Second

// copyProgress keeps a volume's status in step with its copy.
type copyProgress struct {
	v *volumes
	// object is as written last.
	object *v1alpha1.LogicalVolume
	// pair names the LVs read and written, bytes is what is to be copied, copied what was at begin.
	pair          string
	bytes, copied int64
	logged        time.Time
}

// begin writes what is copied from where to where, before anything is. resumed is true when some of it may be.
func (p *copyProgress) begin(ctx context.Context) (resumed bool, err error) {
	p.logged = time.Now()
	written, _, err := p.v.changeStatus(ctx, p.object, func(status *v1alpha1.LogicalVolumeStatus, _ int64) {
		// Of one that goes on nothing is written before it has come further: each write wakes the worker, whose pause
		// after a failure would be none.
		if resumed = status.CopiedFrom == p.pair; !resumed {
			status.CopiedFrom, status.CopiedBytes = p.pair, 0
			p.show(status, 0)
		}
		p.copied = min(status.CopiedBytes, p.bytes)
	})
	if err == nil {
		p.object = written
	}
	return resumed, err
}

// note writes how much is durable. When the API server does not answer the copy goes on: a crash then costs more.
func (p *copyProgress) note(ctx context.Context, copied int64) {
	logger := klog.FromContext(ctx)
	written, _, err := p.v.changeStatus(ctx, p.object, func(status *v1alpha1.LogicalVolumeStatus, _ int64) {
		if status.CopiedFrom == p.pair && status.CopiedBytes != copied {
			status.CopiedBytes = copied
			p.show(status, copied)
		}
	})
	if err == nil {
		p.object = written
	} else if ctx.Err() == nil {
		logger.Error(err, "Write the progress of a copy")
	}
	if time.Since(p.logged) >= copyLogEvery {
		p.logged = time.Now()
		logger.Info("Copying", "copied", exactBytes(copied), "size", exactBytes(p.bytes))
	}
}

func (p *copyProgress) show(status *v1alpha1.LogicalVolumeStatus, copied int64) {
	status.Code = ""
	status.Message = fmt.Sprintf("%s of %s copied from %s", humanBytes(copied), humanBytes(p.bytes), p.object.Spec.Source.Name)
}

// copiesAtOnce bounds the copies into one volume group, so that they leave the disks some time for others.
const copiesAtOnce = 2

// copies hands out turns at copying. Safe for concurrent use.
type copies struct {
	mu    sync.Mutex
	turns map[string]chan struct{}
}

// take waits for a turn in a volume group.
func (c *copies) take(ctx context.Context, vgName string) (release func(), err error) {
	c.mu.Lock()
	turns := c.turns[vgName]
	if turns == nil {
		turns = make(chan struct{}, copiesAtOnce)
		c.turns[vgName] = turns
	}
	c.mu.Unlock()
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
