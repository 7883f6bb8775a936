package csi

import (
	"context"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const copyName = "pvc-77777777-2222-4333-8444-555555555555"

// copyRequest asks for a copy of a volume or snapshot.
func copyRequest(sourceID string, change ...func(*csi.CreateVolumeRequest)) *csi.CreateVolumeRequest {
	return createRequest(append([]func(*csi.CreateVolumeRequest){func(r *csi.CreateVolumeRequest) {
		r.Name, r.VolumeContentSource = copyName, contentSource(sourceID)
	}}, change...)...)
}

func TestCreateVolumeFromSource(t *testing.T) {
	cases := map[string]struct {
		sourceID  string
		change    func(*csi.CreateVolumeRequest)
		wantBytes int64
	}{
		"restored":                      {testSnapshotID, func(*csi.CreateVolumeRequest) {}, gib},
		"cloned":                        {testName, func(*csi.CreateVolumeRequest) {}, gib},
		"larger":                        {testName, func(r *csi.CreateVolumeRequest) { r.CapacityRange.RequiredBytes = 2 * gib }, 2 * gib},
		"of the source's size":          {testSnapshotID, func(r *csi.CreateVolumeRequest) { r.CapacityRange = nil }, gib},
		"smaller by less than rounding": {testName, func(r *csi.CreateVolumeRequest) { r.CapacityRange.RequiredBytes = gib - 1 }, gib - 1},
		"wherever that is":              {testName, func(r *csi.CreateVolumeRequest) { r.AccessibilityRequirements = nil }, gib},
		"mkfs is not run": {testName, func(r *csi.CreateVolumeRequest) {
			r.Parameters["mkfsOptions"] = "-b 4096"
		}, gib},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			// The emptier node, to which a volume without source would go.
			c.addNode("node-2", time.Now(), report("node-2", 100*gib))
			c.eventually("two reports are known", func() bool {
				r, ok := c.controller.storages.at("node-2")
				return ok && len(r.Status.VolumeGroups) == 1
			})
			c.put(readyVolume(testName))
			c.put(readySnapshot(testSnapshotID))
			response, err := c.controller.CreateVolume(quiet(t), copyRequest(tc.sourceID, tc.change))
			if err != nil {
				t.Fatal(err)
			}
			lv := c.volume(copyName)
			if lv.Spec.NodeName != "node-1" || lv.Spec.SizeBytes != tc.wantBytes || sourceOf(lv) != tc.sourceID || lv.Spec.MkfsOptions != nil {
				t.Errorf("spec %+v, want %d bytes on node-1", lv.Spec, tc.wantBytes)
			}
			source := response.GetVolume().GetContentSource()
			if source.GetSnapshot().GetSnapshotId()+source.GetVolume().GetVolumeId() != tc.sourceID {
				t.Errorf("content source %v", source)
			}
			if _, err := c.controller.CreateVolume(quiet(t), copyRequest(tc.sourceID, tc.change)); err != nil {
				t.Errorf("again: %v", err)
			}
			_, err = c.controller.CreateVolume(quiet(t), createRequest(func(r *csi.CreateVolumeRequest) { r.Name = copyName }))
			wantCode(t, err, codes.AlreadyExists, tc.sourceID)
		})
	}
}

func TestCreateVolumeFromSourceRefused(t *testing.T) {
	type change = func(*v1alpha1.LogicalVolume)
	elsewhere := func(lv *v1alpha1.LogicalVolume) { lv.Spec.NodeName = "node-9" }
	same := func(*csi.CreateVolumeRequest) {}
	cases := map[string]struct {
		sourceID string
		volume   change
		snapshot change
		change   func(*csi.CreateVolumeRequest)
		code     codes.Code
		part     string
	}{
		"no such snapshot": {"snap-x", nil, nil, same, codes.NotFound, "snap-x"},
		"no such volume":   {"v-x", nil, nil, same, codes.NotFound, "v-x"},
		"no snapshot of ours": {"", nil, nil, func(r *csi.CreateVolumeRequest) {
			r.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
				Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: testName},
			}}
		}, codes.NotFound, testName},
		"another file system": {testName, nil, nil, func(r *csi.CreateVolumeRequest) {
			r.VolumeCapabilities[0] = mountCapability("xfs")
		}, codes.InvalidArgument, "xfs"},
		"as block": {testSnapshotID, nil, nil, func(r *csi.CreateVolumeRequest) {
			r.VolumeCapabilities[0] = blockCapability()
		}, codes.InvalidArgument, "block"},
		"too small":       {testSnapshotID, nil, nil, func(r *csi.CreateVolumeRequest) { r.CapacityRange.RequiredBytes = mib }, codes.OutOfRange, "1073741824"},
		"within limit":    {testName, nil, nil, func(r *csi.CreateVolumeRequest) { r.CapacityRange = &csi.CapacityRange{LimitBytes: mib} }, codes.OutOfRange, "limit"},
		"on another node": {testSnapshotID, nil, elsewhere, same, codes.ResourceExhausted, "node-9"},
		"on a node without report": {testSnapshotID, nil, elsewhere, func(r *csi.CreateVolumeRequest) {
			r.AccessibilityRequirements = nil
		}, codes.ResourceExhausted, "node-9"},
		"being made": {testName, func(lv *v1alpha1.LogicalVolume) {
			elsewhere(lv)
			lv.Status.Phase = v1alpha1.PhaseAccepted
		}, nil, same, codes.Aborted, "not made yet"},
		"being removed": {testName, func(lv *v1alpha1.LogicalVolume) {
			elsewhere(lv)
			lv.Spec.State = v1alpha1.StateAbsent
		}, nil, same, codes.NotFound, testName},
		"overflowed": {testSnapshotID, nil, func(lv *v1alpha1.LogicalVolume) {
			lv.Status.Conditions = []metav1.Condition{{Type: v1alpha1.LogicalVolumeSnapshotValid, Status: metav1.ConditionFalse}}
		}, same, codes.FailedPrecondition, "more than it holds"},
		"encrypted, into a class that is not": {testName, func(lv *v1alpha1.LogicalVolume) {
			lv.Spec.Encryption = v1alpha1.EncryptionLUKS2
		}, nil, same, codes.InvalidArgument, "luks2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			none := func(*v1alpha1.LogicalVolume) {}
			for _, f := range []*change{&tc.volume, &tc.snapshot} {
				if *f == nil {
					*f = none
				}
			}
			c.put(readyVolume(testName, tc.volume))
			c.put(readySnapshot(testSnapshotID, tc.snapshot))
			_, err := c.controller.CreateVolume(quiet(t), copyRequest(tc.sourceID, tc.change))
			wantCode(t, err, tc.code, tc.part)
			if c.volume(copyName) != nil {
				t.Error("an object was created")
			}
		})
	}
}

func TestControllerModifyVolume(t *testing.T) {
	c := newCluster(t, 10*gib)
	limits := func(parameters map[string]string) *csi.ControllerModifyVolumeRequest {
		return &csi.ControllerModifyVolumeRequest{VolumeId: testName, MutableParameters: parameters}
	}
	_, err := c.controller.ControllerModifyVolume(quiet(t), &csi.ControllerModifyVolumeRequest{})
	wantCode(t, err, codes.InvalidArgument, "volume_id")
	_, err = c.controller.ControllerModifyVolume(quiet(t), limits(nil))
	wantCode(t, err, codes.NotFound, testName)
	_, err = c.controller.CreateVolume(quiet(t), createRequest(func(r *csi.CreateVolumeRequest) {
		r.MutableParameters = map[string]string{"writeIOPS": "100"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		given map[string]string
		want  v1alpha1.QualityOfService
	}{
		{map[string]string{"writeIOPS": "100"}, v1alpha1.QualityOfService{WriteIOPS: 100}},
		{map[string]string{"readIOPS": "1k", "readBytesPerSecond": "10Mi"}, v1alpha1.QualityOfService{ReadIOPS: 1000, ReadBytesPerSecond: 10 * mib}},
		{nil, v1alpha1.QualityOfService{}},
	} {
		before := c.volume(testName)
		if _, err := c.controller.ControllerModifyVolume(quiet(t), limits(tc.given)); err != nil {
			t.Fatal(err)
		}
		lv := c.volume(testName)
		if !sameLimits(lv.Spec.QoS, &tc.want) {
			t.Errorf("%v: limits %+v", tc.given, lv.Spec.QoS)
		}
		if sameLimits(before.Spec.QoS, &tc.want) && before.ResourceVersion != lv.ResourceVersion {
			t.Error("the same limits were written again")
		}
	}
	_, err = c.controller.ControllerModifyVolume(quiet(t), limits(map[string]string{"iops": "5"}))
	wantCode(t, err, codes.InvalidArgument, "iops")
	if _, err := c.controller.DeleteVolume(context.Background(), deleteRequest()); err != nil {
		t.Fatal(err)
	}
}
