//go:build lab

package sanity_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/berth-dev/berth/test/sanity"
)

// TestServices runs the suite against services that are running, on real LVM:
//
//	BERTH_CSI_NODE        the node service's endpoint, unix://path
//	BERTH_CSI_CONTROLLER  the controller service's endpoint, unix://path
//	BERTH_CSI_DIRECTORY   where to stage and publish: shared with the node service by the same path
//	BERTH_CSI_CLASS       a device class of the node; empty for its default
//	BERTH_CSI_BYTES       the size of a volume, whole extents; 64 MiB by default, and twice that when expanded
func TestServices(t *testing.T) {
	size := int64(64 << 20)
	if text := os.Getenv("BERTH_CSI_BYTES"); text != "" {
		var err error
		if size, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatalf("BERTH_CSI_BYTES: %v", err)
		}
	}
	services := sanity.Services{
		NodeEndpoint:       need(t, "BERTH_CSI_NODE"),
		ControllerEndpoint: need(t, "BERTH_CSI_CONTROLLER"),
		Directory:          need(t, "BERTH_CSI_DIRECTORY"),
		VolumeBytes:        size,
		ExpandedBytes:      2 * size,
	}
	if err := os.MkdirAll(services.Directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if class := os.Getenv("BERTH_CSI_CLASS"); class != "" {
		services.Parameters = map[string]string{"deviceClass": class}
	}
	sanity.Run(t, services)
}

func need(t *testing.T, name string) string {
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set", name)
	}
	return value
}
