//go:build lab

package csi

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	utilexec "k8s.io/utils/exec"

	"github.com/berth-dev/berth/pkg/luks"
)

// TestHostMounter mounts on this host. BERTH_CSI_DEVICE is a block device of at least 512 MiB whose content the test
// overwrites. It needs root, and leaves nothing mounted.
func TestHostMounter(t *testing.T) {
	device := os.Getenv("BERTH_CSI_DEVICE")
	if device == "" {
		t.Fatal("BERTH_CSI_DEVICE is not set")
	}
	for fsType, options := range map[string][]string{"ext4": {"-F", "-q"}, "xfs": {"-f", "-q"}, "btrfs": {"-f", "-q"}} {
		t.Run(fsType, func(t *testing.T) { testHostMounter(t, device, fsType, options) })
	}
	t.Run("block", func(t *testing.T) { testHostBlock(t, device) })
}

// newRealHost is a host with one volume on a real device.
func newRealHost(t *testing.T, device, fsType string) *host {
	directory := t.TempDir()
	h := &host{
		volumes: map[string]StageInfo{"v-1": {DevicePath: device, FSType: fsType}},
		stage:   filepath.Join(directory, "stage"),
		target:  filepath.Join(directory, "target"),
	}
	h.Node = NewNode("node-1", h, NewMounter(), luks.New(utilexec.New()))
	t.Cleanup(func() {
		_ = h.unmount(context.Background(), h.target)
		_ = h.unmount(context.Background(), h.stage)
	})
	return h
}

func testHostMounter(t *testing.T, device, fsType string, mkfs []string) {
	ctx, h := quiet(t), newRealHost(t, device, fsType)
	capability := withMode(mountCapability(fsType, "noatime"), csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER)
	wipe(t, device)
	_, err := h.NodeStageVolume(ctx, h.stageRequest("v-1", capability))
	wantCode(t, err, codes.FailedPrecondition, "no file system")

	if output, err := exec.Command("mkfs."+fsType, append(mkfs, device)...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs: %v: %s", err, output)
	}
	for range 10 {
		if _, err := h.NodeStageVolume(ctx, h.stageRequest("v-1", capability)); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		if _, err := h.NodePublishVolume(ctx, h.publishRequest("v-1", capability)); err != nil {
			t.Fatal(err)
		}
	}
	if paths, err := h.otherMounts(device); err != nil || !slices.Equal(paths, []string{h.stage, h.target}) {
		t.Errorf("mounted at %v, error %v", paths, err)
	}
	second := h.publishRequest("v-1", capability)
	second.TargetPath += "-second"
	_, err = h.NodePublishVolume(ctx, second)
	wantCode(t, err, codes.FailedPrecondition, h.target)

	if err := os.WriteFile(filepath.Join(h.target, "file"), make([]byte, mib), 0o600); err != nil {
		t.Error(err)
	}
	stats, err := h.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: "v-1", VolumePath: h.target})
	if err != nil || stats.GetUsage()[0].GetTotal() < 64*mib || stats.GetUsage()[0].GetAvailable() <= 0 {
		t.Errorf("stats %v, error %v", stats, err)
	}
	if _, err := h.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{VolumeId: "v-1", VolumePath: h.target}); err != nil {
		t.Errorf("expand: %v", err)
	}
	takeDown(t, h)

	if _, err := h.NodeStageVolume(ctx, h.stageRequest("v-1", capability)); err != nil {
		t.Fatal(err)
	}
	readOnly := h.publishRequest("v-1", capability)
	readOnly.Readonly = true
	if _, err := h.NodePublishVolume(ctx, readOnly); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.target, "file"), nil, 0o600); err == nil {
		t.Error("a read-only publication can be written")
	}
	if mounted, ok, err := h.mountAt(h.target); !ok || !mounted.ReadOnly || err != nil {
		t.Errorf("mounted %v, error %v", mounted, err)
	}
	takeDown(t, h)
}

func testHostBlock(t *testing.T, device string) {
	ctx, h := quiet(t), newRealHost(t, device, "")
	for range 10 {
		if _, err := h.NodeStageVolume(ctx, h.stageRequest("v-1", blockCapability())); err != nil {
			t.Fatal(err)
		}
		if _, err := h.NodePublishVolume(ctx, h.publishRequest("v-1", blockCapability())); err != nil {
			t.Fatal(err)
		}
	}
	if paths, err := h.otherMounts(device); err != nil || !slices.Equal(paths, []string{h.target}) {
		t.Errorf("bound at %v, error %v", paths, err)
	}
	want, err := NewMounter().DeviceBytes(device)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := h.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: "v-1", VolumePath: h.target})
	if err != nil || stats.GetUsage()[0].GetTotal() != want {
		t.Errorf("stats %v, error %v, want %d bytes", stats, err, want)
	}
	takeDown(t, h)
}

// takeDown unpublishes and unstages, and checks that nothing is left.
func takeDown(t *testing.T, h *host) {
	t.Helper()
	ctx := quiet(t)
	if _, err := h.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: "v-1", TargetPath: h.target}); err != nil {
		t.Error(err)
	}
	if _, err := h.NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{VolumeId: "v-1", StagingTargetPath: h.stage}); err != nil {
		t.Error(err)
	}
	if paths, err := h.otherMounts(h.volumes["v-1"].DevicePath); err != nil || len(paths) != 0 {
		t.Errorf("left mounted at %v, error %v", paths, err)
	}
}

// wipe removes what the last test left.
func wipe(t *testing.T, device string) {
	t.Helper()
	if output, err := exec.Command("wipefs", "--all", "--quiet", device).CombinedOutput(); err != nil {
		t.Fatalf("wipefs: %v: %s", err, output)
	}
}
