package csi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// tokenPrefix begins every token that a list gives out; the name of the last volume or snapshot listed follows. One that
// is made or removed between two pages then shifts no other one.
const tokenPrefix = "after/"

// ListVolumes implements csi.ControllerServer: the volumes that are there and not ordered away, by ID.
func (c *Controller) ListVolumes(_ context.Context, request *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	volumes, next, err := c.page(request.GetStartingToken(), request.GetMaxEntries(), func(lv *v1alpha1.LogicalVolume) bool {
		return !lv.IsSnapshot()
	})
	if err != nil {
		return nil, err
	}
	response := &csi.ListVolumesResponse{NextToken: next}
	for _, lv := range volumes {
		response.Entries = append(response.Entries, &csi.ListVolumesResponse_Entry{Volume: created(lv).GetVolume()})
	}
	return response, nil
}

// ListSnapshots implements csi.ControllerServer: the snapshots that are there and not ordered away, by ID; of them the
// one named, or those of the volume named. A snapshot or volume that is not there has none.
func (c *Controller) ListSnapshots(_ context.Context, request *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	snapshots, next, err := c.page(request.GetStartingToken(), request.GetMaxEntries(), func(lv *v1alpha1.LogicalVolume) bool {
		return lv.IsSnapshot() && (request.GetSnapshotId() == "" || request.GetSnapshotId() == lv.Name) &&
			(request.GetSourceVolumeId() == "" || request.GetSourceVolumeId() == sourceOf(lv))
	})
	if err != nil {
		return nil, err
	}
	response := &csi.ListSnapshotsResponse{NextToken: next}
	for _, lv := range snapshots {
		response.Entries = append(response.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: taken(lv)})
	}
	return response, nil
}

// page returns the ready volumes or snapshots wanted that follow a token, maxEntries at most where that is not 0, and the
// token of the page after it.
// Errors: errInvalid, errToken, errNotReady.
func (c *Controller) page(token string, maxEntries int32, wanted func(*v1alpha1.LogicalVolume) bool) (page []*v1alpha1.LogicalVolume, next string, err error) {
	if maxEntries < 0 {
		return nil, "", fmt.Errorf("%w max_entries: %d is negative", errInvalid, maxEntries)
	}
	after, ok := strings.CutPrefix(token, tokenPrefix)
	if token != "" && !ok {
		return nil, "", fmt.Errorf("%w: %q", errToken, token)
	}
	if err := c.checkReady(); err != nil {
		return nil, "", err
	}
	page = c.listed(after, wanted)
	if limit := int(maxEntries); limit > 0 && len(page) > limit {
		page = page[:limit]
		next = tokenPrefix + page[limit-1].Name
	}
	return page, next, nil
}

// listed returns what is to be listed and sorts after the name given.
func (c *Controller) listed(after string, wanted func(*v1alpha1.LogicalVolume) bool) []*v1alpha1.LogicalVolume {
	var found []*v1alpha1.LogicalVolume
	for _, object := range c.watch.informer.GetIndexer().List() {
		lv := object.(*v1alpha1.LogicalVolume)
		if lv.Name > after && lv.Status.Phase == v1alpha1.PhaseReady && lv.Spec.State != v1alpha1.StateAbsent && wanted(lv) {
			found = append(found, lv)
		}
	}
	slices.SortFunc(found, func(a, b *v1alpha1.LogicalVolume) int { return strings.Compare(a.Name, b.Name) })
	return found
}
