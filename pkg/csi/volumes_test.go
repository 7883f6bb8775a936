package csi

import (
	"context"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

func deleteRequest() *csi.DeleteVolumeRequest { return &csi.DeleteVolumeRequest{VolumeId: testName} }

func TestDeleteVolume(t *testing.T) {
	deaf := func(c *cluster) { c.agent.set(func(a *testAgent) { a.deaf = true }) }
	inUse := func(lv *v1alpha1.LogicalVolume) { lv.Status.Code, lv.Status.Message = "Aborted", "in use by a pod" }
	pending := func(lv *v1alpha1.LogicalVolume) { lv.Status = v1alpha1.LogicalVolumeStatus{} }
	failed := func(lv *v1alpha1.LogicalVolume) { lv.Status.Phase = v1alpha1.PhaseFailed }
	noCRD := func(c *cluster) {
		c.api.SetHook(func(action fake.Action) error {
			if action.Verb != "get" {
				return nil
			}
			return apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{Resource: "logicalvolumes"}, testName, "404 page not found", 0, true)
		})
	}
	cases := map[string]struct {
		volume  *v1alpha1.LogicalVolume
		prepare func(*cluster)
		code    codes.Code
		part    string
	}{
		"ready":                         {readyVolume(testName), nil, codes.OK, ""},
		"never made":                    {nil, nil, codes.OK, ""},
		"pending, agent gone":           {readyVolume(testName, pending), deaf, codes.OK, ""},
		"refused, agent gone":           {readyVolume(testName, failed), deaf, codes.OK, ""},
		"ready, agent gone":             {readyVolume(testName), deaf, codes.DeadlineExceeded, "not removed yet"},
		"in use":                        {readyVolume(testName, inUse), deaf, codes.DeadlineExceeded, "in use by a pod"},
		"the API has no LogicalVolumes": {nil, noCRD, codes.Unavailable, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			if tc.prepare != nil {
				tc.prepare(c)
			}
			if tc.volume != nil {
				c.put(tc.volume.DeepCopy())
			}
			_, err := c.controller.DeleteVolume(soon(t), deleteRequest())
			wantCode(t, err, tc.code, tc.part)
			if err == nil && c.volume(testName) != nil {
				t.Error("the object is left")
			}
			if lv := c.volume(testName); lv != nil && lv.Spec.State != v1alpha1.StateAbsent {
				t.Errorf("state %s, want Absent", lv.Spec.State)
			}
		})
	}
	t.Run("no volume ID", func(t *testing.T) {
		_, err := newCluster(t, gib).controller.DeleteVolume(quiet(t), &csi.DeleteVolumeRequest{})
		wantCode(t, err, codes.InvalidArgument, "volume_id")
	})
	t.Run("no volume ID of ours", func(t *testing.T) {
		_, err := newCluster(t, gib).controller.DeleteVolume(quiet(t), &csi.DeleteVolumeRequest{VolumeId: "../escape"})
		wantCode(t, err, codes.OK)
	})
}

func expandRequest(required int64) *csi.ControllerExpandVolumeRequest {
	return &csi.ControllerExpandVolumeRequest{VolumeId: testName, CapacityRange: &csi.CapacityRange{RequiredBytes: required}}
}

// noGrowth makes the agent refuse to grow volumes.
func noGrowth(a *testAgent) {
	a.refuse = func(*v1alpha1.LogicalVolume) (string, string) { return "OutOfRange", "1073741824 bytes wanted, 0 free" }
}

func TestControllerExpandVolume(t *testing.T) {
	block := func(lv *v1alpha1.LogicalVolume) { lv.Spec.FSType = "" }
	cases := map[string]struct {
		change    func(*v1alpha1.LogicalVolume)
		required  int64
		wantBytes int64
		wantNode  bool
	}{
		"file system": {func(*v1alpha1.LogicalVolume) {}, 2 * gib, 2 * gib, true},
		// 1.5 GiB + 1 byte are 384 extents of 4 MiB and one more.
		"rounded":             {func(*v1alpha1.LogicalVolume) {}, 3*gib/2 + 1, 3*gib/2 + testExtent, true},
		"block":               {block, 2 * gib, 2 * gib, false},
		"large enough as is":  {func(*v1alpha1.LogicalVolume) {}, mib, gib, true},
		"order already given": {func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = 2 * gib; lv.Status.ObservedGeneration = 0 }, 2 * gib, 2 * gib, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			c.put(readyVolume(testName, tc.change))
			response, err := c.controller.ControllerExpandVolume(quiet(t), expandRequest(tc.required))
			if err != nil {
				t.Fatal(err)
			}
			if response.GetCapacityBytes() != tc.wantBytes || response.GetNodeExpansionRequired() != tc.wantNode {
				t.Errorf("bytes %d node %v, want %d %v", response.GetCapacityBytes(), response.GetNodeExpansionRequired(), tc.wantBytes, tc.wantNode)
			}
		})
	}
}

func TestControllerExpandVolumeRefused(t *testing.T) {
	cases := map[string]struct {
		volume  *v1alpha1.LogicalVolume
		request *csi.ControllerExpandVolumeRequest
		code    codes.Code
		part    string
	}{
		"no volume ID": {nil, &csi.ControllerExpandVolumeRequest{CapacityRange: &csi.CapacityRange{RequiredBytes: gib}}, codes.InvalidArgument, "volume_id"},
		"no range":     {nil, &csi.ControllerExpandVolumeRequest{VolumeId: testName}, codes.InvalidArgument, "capacity_range"},
		"not there":    {nil, expandRequest(gib), codes.NotFound, testName},
		"being made": {readyVolume(testName, func(lv *v1alpha1.LogicalVolume) {
			lv.Spec.NodeName, lv.Status.Phase = "node-2", v1alpha1.PhaseAccepted
		}), expandRequest(2 * gib), codes.Aborted, "not made yet"},
		"being removed": {readyVolume(testName, func(lv *v1alpha1.LogicalVolume) {
			lv.Spec.NodeName, lv.Spec.State = "node-2", v1alpha1.StateAbsent
		}), expandRequest(2 * gib), codes.FailedPrecondition, "being removed"},
		"past the limit": {
			readyVolume(testName),
			&csi.ControllerExpandVolumeRequest{VolumeId: testName, CapacityRange: &csi.CapacityRange{RequiredBytes: 1, LimitBytes: mib}},
			codes.OutOfRange, "limit",
		},
		"as a block volume": {
			readyVolume(testName),
			&csi.ControllerExpandVolumeRequest{
				VolumeId: testName, CapacityRange: &csi.CapacityRange{RequiredBytes: 2 * gib}, VolumeCapability: blockCapability(),
			},
			codes.InvalidArgument, "ext4",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			if tc.volume != nil {
				c.put(tc.volume.DeepCopy())
			}
			_, err := c.controller.ControllerExpandVolume(quiet(t), tc.request)
			wantCode(t, err, tc.code, tc.part)
		})
	}
}

func TestRefusedExpansionIsNoOrder(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.put(readyVolume(testName))
	c.agent.set(func(a *testAgent) {
		noGrowth(a)
		a.deaf = false
	})
	// The agent of the cluster turns a refusal of a Ready volume into a code on a Ready volume.
	_, err := c.controller.ControllerExpandVolume(quiet(t), expandRequest(2*gib))
	wantCode(t, err, codes.OutOfRange, "0 free", "2147483648")
	lv := c.volume(testName)
	if lv.Spec.SizeBytes != gib || lv.Status.Phase != v1alpha1.PhaseReady {
		t.Errorf("size ordered %d in phase %q, want %d Ready", lv.Spec.SizeBytes, lv.Status.Phase, gib)
	}
	// Space turns up: the same request is a new one.
	c.agent.set(func(a *testAgent) { a.refuse = nil })
	if _, err := c.controller.ControllerExpandVolume(quiet(t), expandRequest(2*gib)); err != nil {
		t.Fatal(err)
	}
}

// A controller died between refusal and taking the size back.
func TestLeftRefusalDoesNotAnswerALaterExpansion(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.put(readyVolume(testName, func(lv *v1alpha1.LogicalVolume) {
		lv.Spec.SizeBytes = 2 * gib
		lv.Status.Code, lv.Status.Message = "OutOfRange", "old"
	}))
	for _, size := range []int64{2 * gib, 3 * gib} {
		if _, err := c.controller.ControllerExpandVolume(quiet(t), expandRequest(size)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListVolumes(t *testing.T) {
	c := newCluster(t, 10*gib)
	for _, name := range []string{"v-c", "v-a", "v-b"} {
		c.put(readyVolume(name))
	}
	c.agent.set(func(a *testAgent) { a.deaf = true })
	c.put(readyVolume("v-pending", func(lv *v1alpha1.LogicalVolume) { lv.Status.Phase = v1alpha1.PhasePending }))
	c.put(readyVolume("v-absent", func(lv *v1alpha1.LogicalVolume) { lv.Spec.State = v1alpha1.StateAbsent }))

	var names []string
	token := ""
	for pages := 1; ; pages++ {
		response, err := c.controller.ListVolumes(quiet(t), &csi.ListVolumesRequest{MaxEntries: 2, StartingToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range response.GetEntries() {
			names = append(names, entry.GetVolume().GetVolumeId())
		}
		if token = response.GetNextToken(); token == "" {
			if pages != 2 {
				t.Errorf("%d pages, want 2", pages)
			}
			break
		}
		// The last volume of a page is removed before the next page: the token must survive it.
		if err := c.api.LogicalVolumes().Delete(context.Background(), "v-b", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(names) != 3 || names[0] != "v-a" || names[1] != "v-b" || names[2] != "v-c" {
		t.Errorf("listed %v", names)
	}
	_, err := c.controller.ListVolumes(quiet(t), &csi.ListVolumesRequest{StartingToken: "7"})
	wantCode(t, err, codes.Aborted, "7")
	_, err = c.controller.ListVolumes(quiet(t), &csi.ListVolumesRequest{MaxEntries: -1})
	wantCode(t, err, codes.InvalidArgument, "max_entries")
}

func TestGetCapacity(t *testing.T) {
	ordered := func(name string, size int64, change ...func(*v1alpha1.LogicalVolume)) *v1alpha1.LogicalVolume {
		return readyVolume(name, append([]func(*v1alpha1.LogicalVolume){func(lv *v1alpha1.LogicalVolume) {
			lv.Spec.SizeBytes, lv.Status = size, v1alpha1.LogicalVolumeStatus{}
		}}, change...)...)
	}
	group := func(change func(*v1alpha1.VolumeGroupStatus)) func(*v1alpha1.NodeStorage) {
		return func(r *v1alpha1.NodeStorage) { change(&r.Status.VolumeGroups[0]) }
	}
	cases := map[string]struct {
		change  func(*v1alpha1.NodeStorage)
		volumes []*v1alpha1.LogicalVolume
		want    int64
	}{
		"all free": {want: 10 * gib},
		"spare and growth reserve": {change: group(func(g *v1alpha1.VolumeGroupStatus) {
			g.SpareBytes, g.GrowthReserveBytes = gib, 2*gib
		}), want: 7 * gib},
		"ordered, rounded up":   {volumes: []*v1alpha1.LogicalVolume{ordered("v-a", gib+1)}, want: 9*gib - testExtent},
		"made after the report": {volumes: []*v1alpha1.LogicalVolume{readyVolume("v-a")}, want: 9 * gib},
		"made before the report": {volumes: []*v1alpha1.LogicalVolume{readyVolume("v-a", func(lv *v1alpha1.LogicalVolume) {
			lv.Status.VolumeGroup.Seqno = 1
		})}, want: 10 * gib},
		"listed by the report": {change: group(func(g *v1alpha1.VolumeGroupStatus) {
			g.Recent = []v1alpha1.LogicalVolumeEntry{{Name: "v-a", SizeBytes: gib}}
		}), volumes: []*v1alpha1.LogicalVolume{readyVolume("v-a")}, want: 10 * gib},
		"growing beyond the report": {change: group(func(g *v1alpha1.VolumeGroupStatus) {
			g.Recent = []v1alpha1.LogicalVolumeEntry{{Name: "v-a", SizeBytes: gib}}
		}), volumes: []*v1alpha1.LogicalVolume{readyVolume("v-a", func(lv *v1alpha1.LogicalVolume) { lv.Spec.SizeBytes = 3 * gib })}, want: 8 * gib},
		"refused": {volumes: []*v1alpha1.LogicalVolume{readyVolume("v-a", func(lv *v1alpha1.LogicalVolume) {
			lv.Status.Phase = v1alpha1.PhaseFailed
		})}, want: 10 * gib},
		"closed physical volume": {change: group(func(g *v1alpha1.VolumeGroupStatus) { g.PhysicalVolumes[0].Allocatable = false }), want: 0},
		"more ordered than free": {volumes: []*v1alpha1.LogicalVolume{ordered("v-a", 11*gib)}, want: 0},
		"unusable":               {change: group(func(g *v1alpha1.VolumeGroupStatus) { g.Usable = false }), want: 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			c.agent.set(func(a *testAgent) { a.deaf = true })
			storage := report("node-2", 10*gib)
			if tc.change != nil {
				tc.change(storage)
			}
			c.addNode("node-2", time.Now(), storage)
			for _, lv := range tc.volumes {
				lv = lv.DeepCopy()
				lv.Spec.NodeName = "node-2"
				c.put(lv)
			}
			c.eventually("the report is known", func() bool {
				r, ok := c.controller.storages.at("node-2")
				return ok && len(r.Status.VolumeGroups) == 1
			})
			response, err := c.controller.GetCapacity(quiet(t), &csi.GetCapacityRequest{
				AccessibleTopology: topologyOf("node-2"), Parameters: map[string]string{"deviceClass": "ssd"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if response.GetAvailableCapacity() != tc.want || response.GetMaximumVolumeSize().GetValue() != tc.want {
				t.Errorf("available %d maximum %d, want %d", response.GetAvailableCapacity(), response.GetMaximumVolumeSize().GetValue(), tc.want)
			}
			total, err := c.controller.GetCapacity(quiet(t), &csi.GetCapacityRequest{})
			if err != nil || total.GetAvailableCapacity() != tc.want+10*gib || total.GetMaximumVolumeSize().GetValue() != 10*gib {
				t.Errorf("both nodes: %v, error %v", total, err)
			}
		})
	}
	t.Run("copies", func(t *testing.T) {
		c := newCluster(t, gib)
		c.agent.set(func(a *testAgent) { a.deaf = true })
		storage := report("node-2", 10*gib)
		group, class := &storage.Status.VolumeGroups[0], &storage.Status.DeviceClasses[0]
		group.PhysicalVolumes = append(group.PhysicalVolumes, v1alpha1.PhysicalVolumeStatus{Name: "/dev/sdb", FreeBytes: 4 * gib, Allocatable: true})
		class.Layout, class.Mirrors = "raid1", 2
		c.addNode("node-2", time.Now(), storage)
		c.eventually("the report is known", func() bool {
			r, ok := c.controller.storages.at("node-2")
			return ok && len(r.Status.VolumeGroups) == 1
		})
		response, err := c.controller.GetCapacity(quiet(t), &csi.GetCapacityRequest{AccessibleTopology: topologyOf("node-2")})
		if err != nil {
			t.Fatal(err)
		}
		// Half of 10 + 4; 4 less the extent of metadata.
		if response.GetAvailableCapacity() != 7*gib || response.GetMaximumVolumeSize().GetValue() != 4*gib-testExtent {
			t.Errorf("available %d maximum %d, want 7 GiB and 4 GiB less an extent", response.GetAvailableCapacity(), response.GetMaximumVolumeSize().GetValue())
		}
	})
	t.Run("unknown node or class", func(t *testing.T) {
		c := newCluster(t, gib)
		for _, request := range []*csi.GetCapacityRequest{
			{AccessibleTopology: topologyOf("node-9")},
			{Parameters: map[string]string{"deviceClass": "tape"}},
		} {
			response, err := c.controller.GetCapacity(quiet(t), request)
			if err != nil || response.GetAvailableCapacity() != 0 {
				t.Errorf("%v: %v, error %v", request, response, err)
			}
		}
		_, err := c.controller.GetCapacity(quiet(t), &csi.GetCapacityRequest{Parameters: map[string]string{"colour": "red"}})
		wantCode(t, err, codes.InvalidArgument, "colour")
	})
}

func TestValidateVolumeCapabilities(t *testing.T) {
	cases := map[string]struct {
		request *csi.ValidateVolumeCapabilitiesRequest
		code    codes.Code
		message bool
	}{
		"as made":  {&csi.ValidateVolumeCapabilitiesRequest{VolumeId: testName, VolumeCapabilities: []*csi.VolumeCapability{mountCapability("ext4")}}, codes.OK, false},
		"as block": {&csi.ValidateVolumeCapabilitiesRequest{VolumeId: testName, VolumeCapabilities: []*csi.VolumeCapability{blockCapability()}}, codes.OK, true},
		"many nodes": {&csi.ValidateVolumeCapabilitiesRequest{VolumeId: testName, VolumeCapabilities: []*csi.VolumeCapability{
			withMode(mountCapability(""), csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY),
		}}, codes.OK, true},
		"another class": {&csi.ValidateVolumeCapabilitiesRequest{
			VolumeId: testName, VolumeCapabilities: []*csi.VolumeCapability{mountCapability("")}, Parameters: map[string]string{"deviceClass": "hdd"},
		}, codes.OK, true},
		"no capabilities": {&csi.ValidateVolumeCapabilitiesRequest{VolumeId: testName}, codes.InvalidArgument, false},
		"no volume ID":    {&csi.ValidateVolumeCapabilitiesRequest{VolumeCapabilities: []*csi.VolumeCapability{mountCapability("")}}, codes.InvalidArgument, false},
		"not there":       {&csi.ValidateVolumeCapabilitiesRequest{VolumeId: "v-x", VolumeCapabilities: []*csi.VolumeCapability{mountCapability("")}}, codes.NotFound, false},
	}
	c := newCluster(t, 10*gib)
	c.put(readyVolume(testName))
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			response, err := c.controller.ValidateVolumeCapabilities(quiet(t), tc.request)
			wantCode(t, err, tc.code)
			if err == nil && (response.GetConfirmed() == nil) != tc.message || err == nil && (response.GetMessage() != "") != tc.message {
				t.Errorf("answer %v, want a message: %v", response, tc.message)
			}
		})
	}
}
