package agent

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// source is the LV that a snapshot is of, or that a volume's first bytes come from.
type source struct {
	place
	tags lvm.VolumeTags
}

// findSource finds a source that can be read now.
// Errors: refusals with code NotFound or FailedPrecondition, and those that are tried again.
func (v *volumes) findSource(ctx context.Context, object *v1alpha1.LogicalVolume) (source, error) {
	name := object.Spec.Source.Name
	if err := v.lookAgain(ctx); err != nil {
		return source{}, err
	}
	at, ok := v.groups.find(name)
	if !ok {
		return source{}, refused(codes.NotFound, "", "source %s is not on node %s", name, v.nodeName)
	}
	s := source{at, lvm.ParseTags(at.lv.Tags)}
	if !s.tags.Ready {
		return source{}, refused(codes.FailedPrecondition, "", "source %s is not ready", name)
	}
	if v.overflowed(at) {
		return source{}, refused(codes.FailedPrecondition, v1alpha1.ReasonSnapshotOverflow,
			"snapshot %s is not valid any more: what changed in its volume came to more than it could hold", name)
	}
	return s, nil
}

// admit refuses what must not begin with this source. What has begun goes on: a source that is ordered Absent meanwhile
// waits for it.
func (v *volumes) admit(object *v1alpha1.LogicalVolume, s source) error {
	encrypted := s.tags.LUKS
	if of, err := v.lister.Get(s.lv.Name); err == nil {
		if of.Spec.State == v1alpha1.StateAbsent {
			return refused(codes.FailedPrecondition, "", "source %s is ordered to be removed", s.lv.Name)
		}
		encrypted = encrypted || of.Spec.Encryption != ""
	}
	// Its header is made at its first stage. A copy of it as it is would show no header, and look new for ever.
	if encrypted && !s.tags.LUKS {
		return refused(codes.FailedPrecondition, "", "source %s is encrypted and holds nothing yet: no pod has used it", s.lv.Name)
	}
	if object.Spec.Kind == v1alpha1.KindSnapshot {
		if s.tags.Snapshot {
			return refused(codes.InvalidArgument, "", "source %s is a snapshot itself", s.lv.Name)
		}
		return nil
	}
	if encrypted != (object.Spec.Encryption != "") {
		return refused(codes.InvalidArgument, "", "source %s is encrypted: %t; volume %s is to be: %t",
			s.lv.Name, encrypted, object.Name, !encrypted)
	}
	// A block volume may show a file system, and what somebody wrote on one may be a file system: that is theirs to know.
	if ours, theirs := object.Spec.FSType, s.tags.FSType; ours != "" && theirs != "" && ours != theirs {
		return refused(codes.InvalidArgument, "", "source %s holds %s, not %s", s.lv.Name, theirs, ours)
	}
	return nil
}

// overflowed tells whether an LV is a snapshot whose bytes are lost. The kernel knows at once, LVM's metadata never.
func (v *volumes) overflowed(at place) bool {
	if !at.lv.ThickSnapshot() || at.lv.Invalid {
		return at.lv.Invalid
	}
	status, err := v.snapshotStatus(at.vg.Name, at.lv.Name)
	return err == nil && (status.Invalid || status.Overflow)
}

// later makes a refusal one that is tried again, for a volume of which something is on disk already.
func later(err error) error {
	var o *outcome
	if !errors.As(err, &o) {
		return err
	}
	return &outcome{code: o.code, reason: o.reason, err: o.err}
}
