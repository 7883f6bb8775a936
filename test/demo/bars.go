package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const (
	barWidth = 40
	gib      = 1 << 30
)

// nodeNames are the cluster's nodes, and volumeGroup what the shipped configuration serves on each.
var nodeNames = []string{"node1", "node2", "node3"}

const volumeGroup = "berth"

// bars draws each node's volume group as it stands in the NodeStorage objects.
func (d *demo) bars(ctx context.Context) error {
	out, err := d.kubectl(ctx, "get", "nodestorages", "-o", "json")
	if err != nil {
		return err
	}
	var list v1alpha1.NodeStorageList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return fmt.Errorf("read NodeStorages: %w", err)
	}
	var largest int64
	for _, storage := range list.Items {
		for _, vg := range storage.Status.VolumeGroups {
			largest = max(largest, vg.SizeBytes)
		}
	}
	for _, storage := range list.Items {
		for _, vg := range storage.Status.VolumeGroups {
			fmt.Printf("  %-8s %-7s %s %5.1f of %4.1f GiB free\n", storage.Name, vg.Name, bar(vg.SizeBytes, vg.FreeBytes, largest),
				float64(vg.FreeBytes)/gib, float64(vg.SizeBytes)/gib)
		}
	}
	return nil
}

// bar is as long as the volume group's part of the largest one: used bytes full, free ones light.
func bar(size, free, largest int64) string {
	if largest == 0 {
		return strings.Repeat(" ", barWidth)
	}
	length := int(size * barWidth / largest)
	used := int((size - free) * barWidth / largest)
	return strings.Repeat("█", used) + strings.Repeat("░", length-used) + strings.Repeat(" ", barWidth-length)
}
