package csi

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

var everything = metav1.ListOptions{}

// quiet is a context whose logger reports to the test, without the lines of single calls.
func quiet(t *testing.T) context.Context {
	return klog.NewContext(context.Background(), ktesting.NewLogger(t, ktesting.NewConfig(ktesting.Verbosity(1))))
}

const (
	testName = "pvc-11111111-2222-4333-8444-555555555555"
	testUID  = "11111111-2222-4333-8444-555555555555"
)

// createRequest asks for a 1 GiB ext4 volume on node-1.
func createRequest(change ...func(*csi.CreateVolumeRequest)) *csi.CreateVolumeRequest {
	request := &csi.CreateVolumeRequest{
		Name:               testName,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: gib},
		VolumeCapabilities: []*csi.VolumeCapability{mountCapability("ext4")},
		Parameters: map[string]string{
			"csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": "data-0", "csi.storage.k8s.io/pv/name": testName,
		},
		AccessibilityRequirements: &csi.TopologyRequirement{
			Requisite: []*csi.Topology{topologyOf("node-1")}, Preferred: []*csi.Topology{topologyOf("node-1")},
		},
	}
	for _, f := range change {
		f(request)
	}
	return request
}

func mountCapability(fsType string, flags ...string) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: fsType, MountFlags: flags}},
	}
}

func blockCapability() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
	}
}

func withMode(capability *csi.VolumeCapability, mode csi.VolumeCapability_AccessMode_Mode) *csi.VolumeCapability {
	capability.AccessMode.Mode = mode
	return capability
}

// wantCode checks an error's code, as the caller sees it, and that its text contains all of the parts.
func wantCode(t *testing.T, err error, code codes.Code, parts ...string) {
	t.Helper()
	err = statusError(err)
	if status.Code(err) != code {
		t.Errorf("code %s, want %s: %v", status.Code(err), code, err)
	}
	for _, part := range parts {
		if part != "" && (err == nil || !strings.Contains(err.Error(), part)) {
			t.Errorf("%q is not in %q", part, fmt.Sprint(err))
		}
	}
}

// soon is a context of a call whose caller has little patience.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(quiet(t), 150*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// readyVolume is a volume of node-1 as its agent leaves it.
func readyVolume(name string, change ...func(*v1alpha1.LogicalVolume)) *v1alpha1.LogicalVolume {
	lv := &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName: "node-1", DeviceClass: "ssd", SizeBytes: gib, FSType: "ext4", State: v1alpha1.StatePresent,
			ClaimRef: v1alpha1.ClaimReference{Namespace: "shop", Name: "data-0", UID: testUID},
		},
		Status: v1alpha1.LogicalVolumeStatus{
			Phase: v1alpha1.PhaseReady, AllocatedBytes: gib, ObservedGeneration: 1,
			VolumeGroup: v1alpha1.VolumeGroupReference{Name: "vg", UUID: "vg-uuid", Seqno: 2},
		},
	}
	for _, f := range change {
		f(lv)
	}
	return lv
}
