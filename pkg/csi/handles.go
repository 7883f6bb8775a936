package csi

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// handlePage is how many PersistentVolumes one request returns.
const handlePage = 500

// volumeHandles are the volume IDs that PersistentVolumes name, read from the API server when first asked for.
type volumeHandles struct {
	kubernetes kubernetes.Interface
	names      map[string]struct{}
}

// contains says whether a PersistentVolume names the volume.
// Errors: apiFailure; then nothing is known.
func (h *volumeHandles) contains(ctx context.Context, volumeID string) (bool, error) {
	if h.names == nil {
		names, err := h.read(ctx)
		if err != nil {
			return true, err
		}
		h.names = names
	}
	_, ok := h.names[volumeID]
	return ok, nil
}

func (h *volumeHandles) read(ctx context.Context) (map[string]struct{}, error) {
	names := map[string]struct{}{}
	// An empty resourceVersion, unlike "0", makes the API server answer as of now.
	options := metav1.ListOptions{Limit: handlePage}
	for {
		list, err := h.kubernetes.CoreV1().PersistentVolumes().List(ctx, options)
		if err != nil {
			return nil, apiError(err, "list PersistentVolumes")
		}
		for i := range list.Items {
			if csi := list.Items[i].Spec.CSI; csi != nil && csi.Driver == v1alpha1.DriverName {
				names[csi.VolumeHandle] = struct{}{}
			}
		}
		if list.Continue == "" {
			return names, nil
		}
		options.Continue = list.Continue
	}
}
