package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// checkUnused holds back the removal of what volumes are being made from.
func (v *volumes) checkUnused(object *v1alpha1.LogicalVolume) error {
	objects, err := v.lister.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, other := range objects {
		if other.Spec.Source == nil || other.Spec.Source.Name != object.Name || other.Spec.Kind == v1alpha1.KindSnapshot {
			continue
		}
		making := other.Status.Phase == v1alpha1.PhasePending || other.Status.Phase == v1alpha1.PhaseAccepted
		if making && other.Spec.State != v1alpha1.StateAbsent {
			return again(codes.FailedPrecondition, v1alpha1.ReasonSourceInUse, "volume %s is being made from %s, which is removed when that is done",
				other.Name, object.Name)
		}
	}
	return nil
}

// checkSnapshots holds back the removal of a volume while it has thick snapshots: LVM would take them with it, and each
// needs it for what has not changed. What held it still for a volume that is not there any more goes with it.
func (v *volumes) checkSnapshots(ctx context.Context, at place) error {
	var names []string
	for _, lv := range at.vg.ThickSnapshots(at.lv.Name) {
		if v.forgotten(lv) {
			if err := v.removeAndReport(ctx, at.vg.Name, lv.Name); err != nil {
				return err
			}
			continue
		}
		names = append(names, lv.Name)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return again(codes.FailedPrecondition, v1alpha1.ReasonSourceInUse, "volume %s is removed after its snapshots: %s", at.lv.Name, strings.Join(names, ", "))
}

// forgotten tells of an LV that holds a source still for a volume that has no object.
func (v *volumes) forgotten(lv lvm.LogicalVolume) bool {
	volumeID, holds := lv.Holds()
	if !holds {
		return false
	}
	_, err := v.lister.Get(volumeID)
	return apierrors.IsNotFound(err)
}

// checkGrowable holds back the growth of a volume that has thick snapshots: LVM cannot grow it.
func checkGrowable(g growth) error {
	snapshots := g.vg.ThickSnapshots(g.lv.Name)
	if len(snapshots) == 0 {
		return nil
	}
	return again(codes.FailedPrecondition, v1alpha1.ReasonSourceInUse, "volume %s grows after its snapshots are gone: %s has %d",
		g.lv.Name, fmt.Sprintf("%s/%s", g.vg.Name, g.lv.Name), len(snapshots))
}

// wake works on a volume or snapshot that may have waited for another one.
func (v *volumes) wake(name string) {
	object, err := v.lister.Get(name)
	if err != nil {
		return
	}
	grows := object.Status.Phase == v1alpha1.PhaseReady && wantedBytes(object) > object.Status.AllocatedBytes
	if grows || object.Spec.State == v1alpha1.StateAbsent {
		v.Retry(name)
	}
}
