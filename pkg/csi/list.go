package csi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// tokenPrefix begins every token that ListVolumes gives out; the name of the last volume listed follows. A volume
// that is made or removed between two pages then shifts no other one.
const tokenPrefix = "after/"

// ListVolumes implements csi.ControllerServer: the volumes that are there and not ordered away, by ID.
func (c *Controller) ListVolumes(_ context.Context, request *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	if request.GetMaxEntries() < 0 {
		return nil, fmt.Errorf("%w max_entries: %d is negative", errInvalid, request.GetMaxEntries())
	}
	after, ok := strings.CutPrefix(request.GetStartingToken(), tokenPrefix)
	if request.GetStartingToken() != "" && !ok {
		return nil, fmt.Errorf("%w: %q", errToken, request.GetStartingToken())
	}
	if err := c.checkReady(); err != nil {
		return nil, err
	}
	volumes := c.listed(after)
	response := &csi.ListVolumesResponse{}
	if limit := int(request.GetMaxEntries()); limit > 0 && len(volumes) > limit {
		volumes = volumes[:limit]
		response.NextToken = tokenPrefix + volumes[limit-1].Name
	}
	for _, lv := range volumes {
		response.Entries = append(response.Entries, &csi.ListVolumesResponse_Entry{Volume: created(lv).GetVolume()})
	}
	return response, nil
}

// listed returns the volumes to list whose names sort after the one given.
func (c *Controller) listed(after string) []*v1alpha1.LogicalVolume {
	var volumes []*v1alpha1.LogicalVolume
	for _, object := range c.watch.informer.GetIndexer().List() {
		lv := object.(*v1alpha1.LogicalVolume)
		if lv.Name > after && lv.Status.Phase == v1alpha1.PhaseReady && lv.Spec.State != v1alpha1.StateAbsent {
			volumes = append(volumes, lv)
		}
	}
	slices.SortFunc(volumes, func(a, b *v1alpha1.LogicalVolume) int { return strings.Compare(a.Name, b.Name) })
	return volumes
}
