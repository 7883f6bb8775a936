package agent

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// statusAttempts bounds how often a change of status is tried against newer versions of the object.
const statusAttempts = 5

func (v *volumes) updateStatus(ctx context.Context, object *v1alpha1.LogicalVolume) (*v1alpha1.LogicalVolume, error) {
	updated, err := v.client.UpdateStatus(ctx, object, metav1.UpdateOptions{})
	if err == nil {
		v.written.note(updated)
	}
	return updated, err
}

// changeStatus applies a change to the object's status. When the object is newer than the given one the change is
// applied to the newer; an object of the name that is not this one conflicts. It returns what stands in the API
// afterwards and whether anything was written.
func (v *volumes) changeStatus(ctx context.Context, object *v1alpha1.LogicalVolume,
	change func(status *v1alpha1.LogicalVolumeStatus, generation int64),
) (*v1alpha1.LogicalVolume, bool, error) {
	current := object
	for attempt := 1; ; attempt++ {
		wanted := current.DeepCopy()
		// The generation worked on is the given object's: of a newer one nothing has been done yet.
		change(&wanted.Status, object.Generation)
		if apiequality.Semantic.DeepEqual(wanted.Status, current.Status) {
			return current, false, nil
		}
		written, err := v.updateStatus(ctx, wanted)
		if err == nil {
			return written, true, nil
		}
		if !apierrors.IsConflict(err) || attempt == statusAttempts {
			return nil, false, fmt.Errorf("status of %s: %w", object.Name, err)
		}
		if current, err = v.client.Get(ctx, object.Name, metav1.GetOptions{}); err != nil {
			return nil, false, fmt.Errorf("status of %s: %w", object.Name, err)
		}
		if current.UID != object.UID {
			return nil, false, apierrors.NewConflict(v1alpha1.LogicalVolumesResource.GroupResource(), object.Name,
				fmt.Errorf("uid is %s now, was %s", current.UID, object.UID))
		}
	}
}
