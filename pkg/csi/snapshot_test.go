package csi

import (
	"context"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const (
	testSnapshot   = "snapshot-99999999-2222-4333-8444-555555555555"
	testSnapshotID = "snap-99999999-2222-4333-8444-555555555555"
)

func snapshotRequest(change ...func(*csi.CreateSnapshotRequest)) *csi.CreateSnapshotRequest {
	request := &csi.CreateSnapshotRequest{
		Name: testSnapshot, SourceVolumeId: testName,
		Parameters: map[string]string{
			"csi.storage.k8s.io/volumesnapshot/name": "before", "csi.storage.k8s.io/volumesnapshot/namespace": "shop",
			"csi.storage.k8s.io/volumesnapshotcontent/name": "snapcontent-1",
		},
	}
	for _, f := range change {
		f(request)
	}
	return request
}

// readySnapshot is a snapshot of readyVolume(testName) as the agent leaves it.
func readySnapshot(name string, change ...func(*v1alpha1.LogicalVolume)) *v1alpha1.LogicalVolume {
	lv := readyVolume(name, func(lv *v1alpha1.LogicalVolume) {
		lv.Spec.Kind, lv.Spec.Source = v1alpha1.KindSnapshot, &v1alpha1.VolumeSource{Name: testName}
		lv.Spec.ClaimRef = v1alpha1.ClaimReference{Namespace: "shop", Name: "before"}
		lv.Spec.SizeBytes, lv.Status.AllocatedBytes, lv.Status.SourceBytes = 52*testExtent, 52*testExtent, gib
	})
	for _, f := range change {
		f(lv)
	}
	return lv
}

func TestCreateSnapshot(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.put(readyVolume(testName))
	response, err := c.controller.CreateSnapshot(quiet(t), snapshotRequest())
	if err != nil {
		t.Fatal(err)
	}
	got := response.GetSnapshot()
	lv := c.volume(testSnapshotID)
	if got.GetSnapshotId() != testSnapshotID || got.GetSourceVolumeId() != testName || got.GetSizeBytes() != gib || !got.GetReadyToUse() ||
		!got.GetCreationTime().AsTime().Equal(lv.CreationTimestamp.Time) {
		t.Errorf("snapshot %v", got)
	}
	spec := lv.Spec
	// A fifth of 1 GiB, 4 MiB for the table of its chunks, and a header.
	if wantSize := (gib + 4*mib + 4096) / 5; spec.SizeBytes != wantSize {
		t.Errorf("size %d, want %d", spec.SizeBytes, wantSize)
	}
	if spec.Kind != v1alpha1.KindSnapshot || spec.NodeName != "node-1" || spec.DeviceClass != "ssd" || sourceOf(lv) != testName ||
		spec.ClaimRef.Namespace != "shop" || spec.ClaimRef.Name != "before" || spec.ClaimRef.UID != "" {
		t.Errorf("spec %+v", spec)
	}
	if _, err := c.controller.CreateSnapshot(quiet(t), snapshotRequest()); err != nil {
		t.Errorf("again: %v", err)
	}
}

// In a thin pool a snapshot takes its volume's size, virtually; the header of an encrypted volume is added by whoever
// rounds.
func TestCreateThinSnapshot(t *testing.T) {
	c := newCluster(t, 10*gib)
	storage, err := c.api.NodeStorages().Get(context.Background(), "node-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	class := &storage.Status.DeviceClasses[0]
	class.Layout, class.ThinPool, class.OverprovisionPercent = "thin", "pool", 200
	if _, err := c.api.NodeStorages().UpdateStatus(context.Background(), storage, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.eventually("the class is known to be thin", func() bool {
		r, ok := c.controller.storages.at("node-1")
		return ok && r.Status.DeviceClasses[0].ThinPool != ""
	})
	c.put(readyVolume(testName, func(lv *v1alpha1.LogicalVolume) {
		lv.Spec.Encryption, lv.Status.AllocatedBytes = v1alpha1.EncryptionLUKS2, gib+16*mib
	}))
	response, err := c.controller.CreateSnapshot(quiet(t), snapshotRequest())
	if err != nil {
		t.Fatal(err)
	}
	if lv := c.volume(testSnapshotID); lv.Spec.SizeBytes != gib || response.GetSnapshot().GetSizeBytes() != gib {
		t.Errorf("%d bytes ordered, %d told, want 1 GiB", lv.Spec.SizeBytes, response.GetSnapshot().GetSizeBytes())
	}
}

func TestCreateSnapshotRefused(t *testing.T) {
	absent := func(lv *v1alpha1.LogicalVolume) { lv.Spec.State, lv.Spec.NodeName = v1alpha1.StateAbsent, "node-9" }
	accepted := func(lv *v1alpha1.LogicalVolume) { lv.Status.Phase, lv.Spec.NodeName = v1alpha1.PhaseAccepted, "node-9" }
	cases := map[string]struct {
		objects []*v1alpha1.LogicalVolume
		change  func(*csi.CreateSnapshotRequest)
		code    codes.Code
		part    string
	}{
		"no name":           {nil, func(r *csi.CreateSnapshotRequest) { r.Name = "" }, codes.InvalidArgument, "name"},
		"no volume":         {nil, func(r *csi.CreateSnapshotRequest) { r.SourceVolumeId = "" }, codes.InvalidArgument, "source_volume_id"},
		"unknown parameter": {nil, func(r *csi.CreateSnapshotRequest) { r.Parameters["colour"] = "red" }, codes.InvalidArgument, "colour"},
		"volume not there":  {nil, nil, codes.NotFound, testName},
		"volume is removed": {[]*v1alpha1.LogicalVolume{readyVolume(testName, absent)}, nil, codes.FailedPrecondition, "being removed"},
		"volume is made":    {[]*v1alpha1.LogicalVolume{readyVolume(testName, accepted)}, nil, codes.Aborted, "not made yet"},
		"snapshot of a snapshot": {[]*v1alpha1.LogicalVolume{readySnapshot(testSnapshotID)}, func(r *csi.CreateSnapshotRequest) {
			r.Name, r.SourceVolumeId = "other", testSnapshotID
		}, codes.NotFound, testSnapshotID},
		"of another volume": {[]*v1alpha1.LogicalVolume{readyVolume(testName), readyVolume("v-b"), readySnapshot(testSnapshotID)},
			func(r *csi.CreateSnapshotRequest) { r.SourceVolumeId = "v-b" }, codes.AlreadyExists, testName},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 10*gib)
			for _, lv := range tc.objects {
				c.put(lv.DeepCopy())
			}
			request := snapshotRequest()
			if tc.change != nil {
				tc.change(request)
			}
			_, err := c.controller.CreateSnapshot(quiet(t), request)
			wantCode(t, err, tc.code, tc.part)
		})
	}
}

func TestRefusedSnapshotIsWithdrawn(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.put(readyVolume(testName))
	c.agent.set(func(a *testAgent) {
		a.refuse = func(*v1alpha1.LogicalVolume) (string, string) { return "ResourceExhausted", "0 free" }
	})
	_, err := c.controller.CreateSnapshot(quiet(t), snapshotRequest())
	wantCode(t, err, codes.ResourceExhausted, "0 free")
	if c.volume(testSnapshotID) != nil {
		t.Error("the refused object is left")
	}
	c.agent.set(func(a *testAgent) { a.refuse = nil })
	if _, err := c.controller.CreateSnapshot(quiet(t), snapshotRequest()); err != nil {
		t.Error(err)
	}
}

// A volume with snapshots goes after the last of them; neither RPC takes the other's objects.
func TestDeleteVolumeWithSnapshots(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.put(readyVolume(testName))
	if _, err := c.controller.CreateSnapshot(quiet(t), snapshotRequest()); err != nil {
		t.Fatal(err)
	}
	_, err := c.controller.DeleteVolume(quiet(t), deleteRequest())
	wantCode(t, err, codes.FailedPrecondition, "has snapshots")
	for _, id := range []string{testName, "no-such-snapshot"} {
		if _, err := c.controller.DeleteSnapshot(quiet(t), &csi.DeleteSnapshotRequest{SnapshotId: id}); err != nil {
			t.Errorf("DeleteSnapshot of %s: %v", id, err)
		}
	}
	if _, err := c.controller.DeleteVolume(quiet(t), &csi.DeleteVolumeRequest{VolumeId: testSnapshotID}); err != nil {
		t.Errorf("DeleteVolume of a snapshot: %v", err)
	}
	if c.volume(testSnapshotID) == nil || c.volume(testName) == nil {
		t.Fatal("an object is gone that was not asked for")
	}
	if _, err := c.controller.DeleteSnapshot(quiet(t), &csi.DeleteSnapshotRequest{SnapshotId: testSnapshotID}); err != nil {
		t.Fatal(err)
	}
	c.eventually("the volume follows its snapshot", func() bool { return c.volume(testName) == nil })
	_, err = c.controller.DeleteSnapshot(quiet(t), &csi.DeleteSnapshotRequest{})
	wantCode(t, err, codes.InvalidArgument, "snapshot_id")
}

func TestSnapshotsAreNoVolumes(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.put(readyVolume(testName))
	c.put(readySnapshot(testSnapshotID))
	_, err := c.controller.ControllerExpandVolume(quiet(t), &csi.ControllerExpandVolumeRequest{
		VolumeId: testSnapshotID, CapacityRange: &csi.CapacityRange{RequiredBytes: 2 * gib},
	})
	wantCode(t, err, codes.NotFound, testSnapshotID)
	_, err = c.controller.ControllerModifyVolume(quiet(t), &csi.ControllerModifyVolumeRequest{VolumeId: testSnapshotID})
	wantCode(t, err, codes.NotFound, testSnapshotID)
	volumes, err := c.controller.ListVolumes(quiet(t), &csi.ListVolumesRequest{})
	if err != nil || len(volumes.GetEntries()) != 1 || volumes.GetEntries()[0].GetVolume().GetVolumeId() != testName {
		t.Errorf("volumes %v (%v)", volumes, err)
	}
}

func TestListSnapshots(t *testing.T) {
	c := newCluster(t, 10*gib)
	c.agent.set(func(a *testAgent) { a.deaf = true })
	c.put(readyVolume(testName))
	for _, name := range []string{"s-c", "s-a", "s-b"} {
		c.put(readySnapshot(name))
	}
	c.put(readySnapshot("s-other", func(lv *v1alpha1.LogicalVolume) {
		lv.Spec.Source.Name = "v-other"
		lv.Status.Conditions = []metav1.Condition{{Type: v1alpha1.LogicalVolumeSnapshotValid, Status: metav1.ConditionFalse}}
	}))
	c.put(readySnapshot("s-pending", func(lv *v1alpha1.LogicalVolume) { lv.Status.Phase = v1alpha1.PhaseAccepted }))
	for _, tc := range []struct {
		name    string
		request *csi.ListSnapshotsRequest
		want    []string
		token   string
	}{
		{"all", &csi.ListSnapshotsRequest{}, []string{"s-a", "s-b", "s-c", "s-other"}, ""},
		{"a page", &csi.ListSnapshotsRequest{MaxEntries: 2}, []string{"s-a", "s-b"}, "after/s-b"},
		{"the next", &csi.ListSnapshotsRequest{MaxEntries: 2, StartingToken: "after/s-b"}, []string{"s-c", "s-other"}, ""},
		{"by ID", &csi.ListSnapshotsRequest{SnapshotId: "s-b"}, []string{"s-b"}, ""},
		{"by volume", &csi.ListSnapshotsRequest{SourceVolumeId: "v-other"}, []string{"s-other"}, ""},
		{"unknown", &csi.ListSnapshotsRequest{SnapshotId: "../x"}, nil, ""},
	} {
		response, err := c.controller.ListSnapshots(quiet(t), tc.request)
		var got []string
		for _, entry := range response.GetEntries() {
			got = append(got, entry.GetSnapshot().GetSnapshotId())
			if valid := entry.GetSnapshot().GetReadyToUse(); valid != (entry.GetSnapshot().GetSnapshotId() != "s-other") {
				t.Errorf("%s: ready to use is %t", entry.GetSnapshot().GetSnapshotId(), valid)
			}
		}
		if err != nil || len(got) != len(tc.want) || response.GetNextToken() != tc.token {
			t.Errorf("%s: %v, token %q (%v), want %v, %q", tc.name, got, response.GetNextToken(), err, tc.want, tc.token)
			continue
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
			}
		}
	}
	_, err := c.controller.ListSnapshots(quiet(t), &csi.ListSnapshotsRequest{StartingToken: "7"})
	wantCode(t, err, codes.Aborted, "7")
}
