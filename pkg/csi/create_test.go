package csi

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

func TestCreateVolume(t *testing.T) {
	c := newCluster(t, 10*gib)
	response, err := c.controller.CreateVolume(quiet(t), createRequest(func(r *csi.CreateVolumeRequest) {
		r.CapacityRange.RequiredBytes = gib + 1
	}))
	if err != nil {
		t.Fatal(err)
	}
	volume := response.GetVolume()
	if volume.GetVolumeId() != testName {
		t.Errorf("volume ID %q", volume.GetVolumeId())
	}
	// 1 GiB + 1 byte is 256 extents of 4 MiB and one more.
	if want := gib + testExtent; volume.GetCapacityBytes() != want {
		t.Errorf("capacity %d, want %d", volume.GetCapacityBytes(), want)
	}
	wantContext := map[string]string{"deviceClass": "ssd", "volumeGroup": "vg", "vgUUID": "vg-uuid", "vgSeqno": "2"}
	for key, value := range wantContext {
		if volume.GetVolumeContext()[key] != value {
			t.Errorf("volume context %s is %q, want %q", key, volume.GetVolumeContext()[key], value)
		}
	}
	if len(volume.GetAccessibleTopology()) != 1 || volume.GetAccessibleTopology()[0].GetSegments()[v1alpha1.TopologyKey] != "node-1" {
		t.Errorf("topology %v", volume.GetAccessibleTopology())
	}
	want := v1alpha1.LogicalVolumeSpec{
		NodeName: "node-1", DeviceClass: "ssd", Kind: v1alpha1.KindVolume, SizeBytes: gib + 1, FSType: "ext4",
		Erase: v1alpha1.EraseNone, State: v1alpha1.StatePresent,
		ClaimRef: v1alpha1.ClaimReference{Namespace: "shop", Name: "data-0", UID: testUID},
	}
	if spec := c.volume(testName).Spec; !reflect.DeepEqual(spec, want) {
		t.Errorf("spec %+v, want %+v", spec, want)
	}
}

func TestCreateVolumeKinds(t *testing.T) {
	cases := map[string]struct {
		change    func(*csi.CreateVolumeRequest)
		wantFS    string
		wantErase v1alpha1.EraseMode
		wantBytes int64
	}{
		"block is zeroed": {
			func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities[0] = blockCapability() }, "", v1alpha1.EraseZero, gib,
		},
		"file system of the capability": {
			func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities[0] = mountCapability("xfs") }, "xfs", v1alpha1.EraseNone, gib,
		},
		"file system of the parameter": {func(r *csi.CreateVolumeRequest) {
			r.VolumeCapabilities[0] = mountCapability("")
			r.Parameters["csi.storage.k8s.io/fstype"] = "btrfs"
		}, "btrfs", v1alpha1.EraseNone, gib},
		"file system by default": {
			func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities[0] = mountCapability("") }, "ext4", v1alpha1.EraseNone, gib,
		},
		"erase as the class says": {
			func(r *csi.CreateVolumeRequest) { r.Parameters["erase"] = "discard" }, "ext4", v1alpha1.EraseDiscard, gib,
		},
		"no size": {func(r *csi.CreateVolumeRequest) { r.CapacityRange = nil }, "ext4", v1alpha1.EraseNone, gib},
		// 10,000,000 bytes are 2 extents of 4,194,304 and a rest.
		"limit only": {
			func(r *csi.CreateVolumeRequest) { r.CapacityRange = &csi.CapacityRange{LimitBytes: 10_000_000} }, "ext4", v1alpha1.EraseNone, 8_388_608,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			response, err := c.controller.CreateVolume(quiet(t), createRequest(tc.change))
			if err != nil {
				t.Fatal(err)
			}
			lv := c.volume(testName)
			if lv.Spec.FSType != tc.wantFS || lv.Spec.Erase != tc.wantErase || response.GetVolume().GetCapacityBytes() != tc.wantBytes {
				t.Errorf("file system %q erase %q bytes %d, want %q %q %d",
					lv.Spec.FSType, lv.Spec.Erase, response.GetVolume().GetCapacityBytes(), tc.wantFS, tc.wantErase, tc.wantBytes)
			}
		})
	}
}

func TestCreateVolumeRefusesRequests(t *testing.T) {
	capability := func(c *csi.VolumeCapability) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities = []*csi.VolumeCapability{c} }
	}
	capacity := func(required, limit int64) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) {
			r.CapacityRange = &csi.CapacityRange{RequiredBytes: required, LimitBytes: limit}
		}
	}
	parameter := func(key, value string) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) { r.Parameters[key] = value }
	}
	const invalid = codes.InvalidArgument
	cases := map[string]struct {
		change func(*csi.CreateVolumeRequest)
		code   codes.Code
		parts  []string
	}{
		"no name":         {func(r *csi.CreateVolumeRequest) { r.Name = "" }, invalid, []string{"name is missing"}},
		"no capabilities": {func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities = nil }, invalid, []string{"volume_capabilities is missing"}},
		"no access type": {
			capability(&csi.VolumeCapability{AccessMode: mountCapability("").AccessMode}), invalid, []string{"access_type is missing"},
		},
		"no access mode": {
			capability(&csi.VolumeCapability{AccessType: mountCapability("").AccessType}), invalid, []string{"access_mode is missing"},
		},
		"many nodes": {
			capability(withMode(mountCapability(""), csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER)), invalid, []string{"MULTI_NODE_MULTI_WRITER"},
		},
		"block and file system": {func(r *csi.CreateVolumeRequest) {
			r.VolumeCapabilities = append(r.VolumeCapabilities, blockCapability())
		}, invalid, []string{"volume_capabilities"}},
		"unsupported file system": {capability(mountCapability("ntfs")), invalid, []string{"ntfs", "ext4", "xfs", "btrfs"}},
		"mount group": {func(r *csi.CreateVolumeRequest) {
			r.VolumeCapabilities[0].GetMount().VolumeMountGroup = "users"
		}, invalid, []string{"volume_mount_group"}},
		"source of no kind": {func(r *csi.CreateVolumeRequest) {
			r.VolumeContentSource = &csi.VolumeContentSource{}
		}, invalid, []string{"volume_content_source.type is missing"}},
		"unknown mutable parameter": {func(r *csi.CreateVolumeRequest) {
			r.MutableParameters = map[string]string{"iops": "5"}
		}, invalid, []string{"iops", "readIOPS"}},
		"mkfs option":       {parameter("mkfsOptions", "-d /etc"), invalid, []string{"mkfs.ext4 -d"}},
		"unknown parameter": {parameter("colour", "red"), invalid, []string{"colour", "deviceClass"}},
		"block without zeroing": {func(r *csi.CreateVolumeRequest) {
			r.VolumeCapabilities[0] = blockCapability()
			r.Parameters["erase"] = "none"
		}, invalid, []string{"erase", "zero"}},
		"unknown class":        {parameter("deviceClass", "tape"), invalid, []string{"tape", "ssd"}},
		"negative size":        {capacity(-1, 0), invalid, []string{"required_bytes", "-1"}},
		"negative limit":       {capacity(0, -1), invalid, []string{"limit_bytes", "-1"}},
		"limit below required": {capacity(gib, gib-1), invalid, []string{"limit_bytes"}},
		"size past all":        {capacity(1<<63-1, 0), invalid, []string{"9223372036854775807"}},
		// 5 MiB are 2 extents of 4 MiB: 8 MiB, which is more than 6.
		"limit below rounding": {capacity(5*mib, 6*mib), codes.OutOfRange, []string{"8388608", "6291456"}},
		"limit below extent":   {capacity(0, mib), codes.OutOfRange, []string{"1048576"}},
		"unknown node": {func(r *csi.CreateVolumeRequest) {
			r.AccessibilityRequirements.Preferred = []*csi.Topology{topologyOf("node-9")}
		}, codes.ResourceExhausted, []string{"node-9"}},
		"foreign topology": {func(r *csi.CreateVolumeRequest) {
			r.AccessibilityRequirements.Preferred = []*csi.Topology{{Segments: map[string]string{"zone": "a"}}}
		}, invalid, []string{v1alpha1.TopologyKey}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			_, err := c.controller.CreateVolume(quiet(t), createRequest(tc.change))
			wantCode(t, err, tc.code, tc.parts...)
			for _, action := range c.api.Actions() {
				if action.Resource == "logicalvolumes" && action.Verb == "create" {
					t.Error("an object was created")
				}
			}
		})
	}
}

func TestRefusalNeverAnswersALaterAttempt(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.agent.set(func(a *testAgent) {
		a.refuse = func(*v1alpha1.LogicalVolume) (string, string) {
			return "ResourceExhausted", "1073741824 bytes wanted, 0 free"
		}
	})
	_, err := c.controller.CreateVolume(quiet(t), createRequest())
	wantCode(t, err, codes.ResourceExhausted, "0 free")
	if c.volume(testName) != nil {
		t.Error("the refused object is left")
	}

	// A controller that died between refusal and deletion leaves the object.
	c.agent.set(func(a *testAgent) { a.refuse = nil })
	old := c.put(readyVolume(testName, func(lv *v1alpha1.LogicalVolume) {
		lv.Status = v1alpha1.LogicalVolumeStatus{Phase: v1alpha1.PhaseFailed, Code: "ResourceExhausted", Message: "old"}
	}))
	if _, err = c.controller.CreateVolume(quiet(t), createRequest()); err != nil {
		t.Fatal(err)
	}
	if lv := c.volume(testName); lv.UID == old.UID {
		t.Error("the refused object is still there")
	}
}

func TestCreateVolumeTwice(t *testing.T) {
	cases := map[string]struct {
		change func(*csi.CreateVolumeRequest)
		code   codes.Code
		parts  []string
	}{
		"same":            {func(*csi.CreateVolumeRequest) {}, codes.OK, nil},
		"smaller":         {func(r *csi.CreateVolumeRequest) { r.CapacityRange.RequiredBytes = mib }, codes.OK, nil},
		"larger":          {func(r *csi.CreateVolumeRequest) { r.CapacityRange.RequiredBytes = 2 * gib }, codes.AlreadyExists, []string{"2147483648"}},
		"below the limit": {func(r *csi.CreateVolumeRequest) { r.CapacityRange = &csi.CapacityRange{LimitBytes: mib} }, codes.AlreadyExists, []string{"limit"}},
		"another class":   {func(r *csi.CreateVolumeRequest) { r.Parameters["deviceClass"] = "hdd" }, codes.AlreadyExists, []string{"ssd", "hdd"}},
		"another file system": {func(r *csi.CreateVolumeRequest) {
			r.VolumeCapabilities[0] = mountCapability("xfs")
		}, codes.AlreadyExists, []string{"ext4", "xfs"}},
		"block": {func(r *csi.CreateVolumeRequest) {
			r.VolumeCapabilities[0] = blockCapability()
		}, codes.AlreadyExists, []string{"block"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			if _, err := c.controller.CreateVolume(quiet(t), createRequest()); err != nil {
				t.Fatal(err)
			}
			before := c.volume(testName)
			_, err := c.controller.CreateVolume(quiet(t), createRequest(tc.change))
			wantCode(t, err, tc.code, tc.parts...)
			if after := c.volume(testName); after.ResourceVersion != before.ResourceVersion {
				t.Error("the volume changed")
			}
		})
	}
}

func TestCreateVolumeWithoutAnswer(t *testing.T) {
	gone := func(c *cluster) {
		if err := c.kubernetes.CoreV1().Nodes().Delete(context.Background(), "node-1", metav1.DeleteOptions{}); err != nil {
			c.t.Fatal(err)
		}
	}
	stale := func(c *cluster) {
		leases := c.kubernetes.CoordinationV1().Leases(testNamespace)
		_, err := leases.Update(context.Background(), &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "agent-node-1"},
			Spec:       coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: time.Now().Add(-181 * time.Second)}},
		}, metav1.UpdateOptions{})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	named := func(c *cluster) {
		pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: testName}}
		if _, err := c.kubernetes.CoreV1().PersistentVolumes().Create(context.Background(), pv, metav1.CreateOptions{}); err != nil {
			c.t.Fatal(err)
		}
	}
	deaf := func(c *cluster) { c.agent.set(func(a *testAgent) { a.deaf = true }) }
	hold := func(c *cluster) { c.agent.set(func(a *testAgent) { a.hold = true }) }
	cases := map[string]struct {
		prepare  []func(*cluster)
		code     codes.Code
		part     string
		wantLeft bool
	}{
		"agent is slow to accept":              {[]func(*cluster){deaf}, codes.DeadlineExceeded, "node-1 has not taken it", true},
		"agent is silent":                      {[]func(*cluster){deaf, stale}, codes.ResourceExhausted, "silent", false},
		"node is gone":                         {[]func(*cluster){deaf, gone}, codes.ResourceExhausted, "node-1 is gone", false},
		"accepted, then slow":                  {[]func(*cluster){hold}, codes.DeadlineExceeded, "not made yet", true},
		"accepted, then silent":                {[]func(*cluster){hold, stale}, codes.DeadlineExceeded, "not made yet", true},
		"accepted, then node gone":             {[]func(*cluster){hold, gone}, codes.ResourceExhausted, "node-1 is gone", false},
		"accepted, node gone, volume is named": {[]func(*cluster){hold, gone, named}, codes.DeadlineExceeded, "not made yet", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			for _, f := range tc.prepare {
				f(c)
			}
			_, err := c.controller.CreateVolume(soon(t), createRequest())
			wantCode(t, err, tc.code, tc.part)
			if left := c.volume(testName) != nil; left != tc.wantLeft {
				t.Errorf("object left: %v, want %v", left, tc.wantLeft)
			}
		})
	}
}

// The agent accepts between the controller's look at the Lease and its withdrawal: one of the two wins, and here it is
// the agent.
func TestAcceptanceBeatsWithdrawal(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.agent.set(func(a *testAgent) { a.deaf = true })
	if err := c.kubernetes.CoreV1().Nodes().Delete(context.Background(), "node-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: testName}}
	if _, err := c.kubernetes.CoreV1().PersistentVolumes().Create(context.Background(), pv, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.api.SetHook(func(action fake.Action) error {
		if action.Verb == "delete" {
			c.api.SetHook(nil)
			c.agent.set(func(a *testAgent) { a.deaf = false })
			c.agent.reconcile(c.volume(testName))
		}
		return nil
	})
	if _, err := c.controller.CreateVolume(quiet(t), createRequest()); err != nil {
		t.Fatal(err)
	}
}

func TestCreateVolumeGoesOnAfterADeadline(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.agent.set(func(a *testAgent) { a.hold = true })
	_, err := c.controller.CreateVolume(soon(t), createRequest())
	wantCode(t, err, codes.DeadlineExceeded)
	uid := c.volume(testName).UID
	c.agent.set(func(a *testAgent) { a.hold = false })
	c.agent.reconcile(c.volume(testName))
	if _, err := c.controller.CreateVolume(quiet(t), createRequest()); err != nil {
		t.Fatal(err)
	}
	if c.volume(testName).UID != uid {
		t.Error("the volume was made twice")
	}
}

func TestCreateVolumeElsewhere(t *testing.T) {
	cases := map[string]struct {
		change func(*v1alpha1.LogicalVolume)
		named  bool
		code   codes.Code
		state  v1alpha1.VolumeState
	}{
		"never staged, no PersistentVolume": {func(*v1alpha1.LogicalVolume) {}, false, codes.Aborted, v1alpha1.StateAbsent},
		"never staged, PersistentVolume":    {func(*v1alpha1.LogicalVolume) {}, true, codes.AlreadyExists, v1alpha1.StatePresent},
		"staged": {
			func(lv *v1alpha1.LogicalVolume) { lv.Status.Staged = true }, false, codes.AlreadyExists, v1alpha1.StatePresent,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			c.put(readyVolume(testName, func(lv *v1alpha1.LogicalVolume) { lv.Spec.NodeName = "node-2" }, tc.change))
			if tc.named {
				pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: testName}}
				if _, err := c.kubernetes.CoreV1().PersistentVolumes().Create(context.Background(), pv, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.controller.CreateVolume(quiet(t), createRequest())
			wantCode(t, err, tc.code, "node-2")
			if state := c.volume(testName).Spec.State; state != tc.state {
				t.Errorf("state %s, want %s", state, tc.state)
			}
		})
	}
	t.Run("pending", func(t *testing.T) {
		c := newCluster(t, 10*gib)
		c.put(readyVolume(testName, func(lv *v1alpha1.LogicalVolume) {
			lv.Spec.NodeName, lv.Status = "node-2", v1alpha1.LogicalVolumeStatus{}
		}))
		if _, err := c.controller.CreateVolume(quiet(t), createRequest()); err != nil {
			t.Fatal(err)
		}
		if node := c.volume(testName).Spec.NodeName; node != "node-1" {
			t.Errorf("on %s, want node-1", node)
		}
	})
}

func TestCreateVolumeWhileTheAPIFails(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.api.SetHook(func(action fake.Action) error {
		if action.Verb == "create" {
			return errors.New("client rate limiter Wait returned an error: would exceed context deadline")
		}
		return nil
	})
	_, err := c.controller.CreateVolume(quiet(t), createRequest())
	wantCode(t, err, codes.Unavailable, "create LogicalVolume")
}

func TestSecondCallForAVolumeIsAborted(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.agent.set(func(a *testAgent) { a.deaf = true })
	first := make(chan error)
	go func() {
		_, err := c.controller.CreateVolume(soon(t), createRequest())
		first <- err
	}()
	c.eventually("the first call has created its object", func() bool { return c.volume(testName) != nil })
	_, err := c.controller.CreateVolume(quiet(t), createRequest())
	wantCode(t, err, codes.Aborted, testName)
	if code := status.Code(statusError(<-first)); code != codes.DeadlineExceeded {
		t.Errorf("the first call ended with %s", code)
	}
}

func TestPlace(t *testing.T) {
	anywhere := func(r *csi.CreateVolumeRequest) { r.AccessibilityRequirements = nil }
	cases := map[string]struct {
		change func(*csi.CreateVolumeRequest)
		want   string
		code   codes.Code
	}{
		"preferred":       {func(*csi.CreateVolumeRequest) {}, "node-1", codes.OK},
		"most free bytes": {anywhere, "node-2", codes.OK},
		"requisite only": {func(r *csi.CreateVolumeRequest) {
			r.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: []*csi.Topology{topologyOf("node-1"), topologyOf("node-3")}}
		}, "node-3", codes.OK},
		"class of one node": {func(r *csi.CreateVolumeRequest) { anywhere(r); r.Parameters["deviceClass"] = "hdd" }, "node-3", codes.OK},
		"class not on that node": {func(r *csi.CreateVolumeRequest) {
			r.Parameters["deviceClass"] = "hdd"
		}, "", codes.ResourceExhausted},
		"class nowhere": {func(r *csi.CreateVolumeRequest) { anywhere(r); r.Parameters["deviceClass"] = "tape" }, "", codes.InvalidArgument},
	}
	c := newCluster(t, 10*gib)
	c.addNode("node-2", time.Now(), report("node-2", 30*gib))
	third := report("node-3", 20*gib)
	third.Status.DeviceClasses = append(third.Status.DeviceClasses, v1alpha1.DeviceClassStatus{Name: "hdd", VolumeGroup: "vg"})
	c.addNode("node-3", time.Now(), third)
	c.eventually("three reports are known", func() bool {
		reports := c.controller.storages.all()
		return len(reports) == 3 && len(reports[0].Status.VolumeGroups)*len(reports[1].Status.VolumeGroups)*len(reports[2].Status.VolumeGroups) == 1
	})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o, err := parseOrder(createRequest(tc.change))
			if err != nil {
				t.Fatal(err)
			}
			node, _, err := c.controller.place(o, nil)
			wantCode(t, err, tc.code)
			if err == nil && node.Name != tc.want {
				t.Errorf("placed on %s, want %s", node.Name, tc.want)
			}
		})
	}
}
