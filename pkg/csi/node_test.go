package csi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/luks/luksfake"
	"github.com/berth-dev/berth/pkg/lvm"
)

// host is a node service with volumes of its own and paths to stage and publish at.
type host struct {
	*Node
	mounter *fakeMounter
	crypt   *luksfake.Crypt
	volumes map[string]StageInfo
	errs    map[string]error
	staged  []string
	told    []string
	// What the agent was asked for.
	published, formatted, renewed []string
	formatError, markError        error
	stage                         string
	target                        string
}

func (h *host) Stageable(_ context.Context, volumeID string) (StageInfo, error) {
	if err := h.errs[volumeID]; err != nil {
		return StageInfo{}, err
	}
	info, ok := h.volumes[volumeID]
	if !ok {
		return StageInfo{}, fmt.Errorf("volume %s: %w", volumeID, lvm.ErrNotFound)
	}
	h.staged = append(h.staged, volumeID)
	return info, nil
}

func (h *host) Unstaged(volumeID string) { h.told = append(h.told, volumeID) }

func (h *host) Published(volumeID string) { h.published = append(h.published, volumeID) }

func (h *host) FormatEncrypted(_ context.Context, volumeID, device string, bytes int64) error {
	if h.volumes[volumeID].Formatted {
		return fmt.Errorf("volume %s was formatted before: %w", volumeID, ErrPrecondition)
	}
	if bytes != plaintextBytes {
		return fmt.Errorf("%d bytes", bytes)
	}
	if err := h.formatError; err != nil {
		return err
	}
	h.formatted = append(h.formatted, device)
	h.mounter.fileSystems[device] = h.volumes[volumeID].FSType
	return nil
}

func (h *host) MarkFormatted(_ context.Context, volumeID string) error {
	if h.markError != nil {
		return h.markError
	}
	info := h.volumes[volumeID]
	info.Formatted = true
	h.volumes[volumeID] = info
	return nil
}

func (h *host) Renew(_ context.Context, device, _ string) error {
	h.renewed = append(h.renewed, device)
	return nil
}

// newHost has v-ext4, v-xfs and v-btrfs with their file systems and v-block, each a file of 8 MiB.
func newHost(t *testing.T) *host {
	t.Helper()
	return newHostIn(t, t.TempDir())
}

func newHostIn(t *testing.T, directory string) *host {
	t.Helper()
	h := &host{
		mounter: &fakeMounter{fileSystems: map[string]string{}, smaller: map[string]bool{}},
		crypt:   luksfake.New(),
		volumes: map[string]StageInfo{},
		errs:    map[string]error{},
		stage:   filepath.Join(directory, "plugins", "stage"),
		target:  filepath.Join(directory, "pods", "uid", "mount"),
	}
	for _, fsType := range []string{"ext4", "xfs", "btrfs", ""} {
		name := "v-" + fsType
		if fsType == "" {
			name = "v-block"
		}
		device := filepath.Join(directory, name)
		if err := os.WriteFile(device, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(device, 8*mib); err != nil {
			t.Fatal(err)
		}
		h.volumes[name] = StageInfo{DevicePath: device, FSType: fsType, SizeBytes: 8 * mib}
		h.mounter.fileSystems[device] = fsType
	}
	h.Node = NewNode("node-1", h, h.mounter, h.crypt)
	return h
}

func (h *host) stageRequest(volumeID string, capability *csi.VolumeCapability) *csi.NodeStageVolumeRequest {
	return &csi.NodeStageVolumeRequest{VolumeId: volumeID, StagingTargetPath: h.stage, VolumeCapability: capability}
}

func (h *host) publishRequest(volumeID string, capability *csi.VolumeCapability) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{VolumeId: volumeID, StagingTargetPath: h.stage, TargetPath: h.target, VolumeCapability: capability}
}

func TestStageAndPublishTenTimes(t *testing.T) {
	for name, capability := range map[string]*csi.VolumeCapability{
		"v-ext4": mountCapability("ext4", "noatime"), "v-xfs": mountCapability("xfs"), "v-btrfs": mountCapability(""), "v-block": blockCapability(),
	} {
		t.Run(name, func(t *testing.T) {
			h, ctx := newHost(t), quiet(t)
			for range 10 {
				if _, err := h.NodeStageVolume(ctx, h.stageRequest(name, capability)); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				if _, err := h.NodePublishVolume(ctx, h.publishRequest(name, capability)); err != nil {
					t.Fatal(err)
				}
			}
			block := capability.GetBlock() != nil
			wantMounts := []Mounted{{Device: h.volumes[name].DevicePath, Path: h.stage}, {Device: h.volumes[name].DevicePath, Path: h.target, Block: block}}
			if block {
				wantMounts = wantMounts[1:]
			}
			if !slices.Equal(h.mounter.mounts, wantMounts) {
				t.Errorf("mounts %v, want %v", h.mounter.mounts, wantMounts)
			}
			if info, err := os.Stat(h.target); err != nil || info.IsDir() == block {
				t.Errorf("target %v, error %v", info, err)
			}
			for range 10 {
				_, err := h.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: name, TargetPath: h.target})
				if err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				_, err := h.NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{VolumeId: name, StagingTargetPath: h.stage})
				if err != nil {
					t.Fatal(err)
				}
			}
			if len(h.mounter.mounts) != 0 {
				t.Errorf("mounts %v are left", h.mounter.mounts)
			}
			if _, err := os.Stat(h.target); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the target is left: %v", err)
			}
			if len(h.published) != 10 {
				t.Errorf("the agent was told of %d publications", len(h.published))
			}
			if !slices.Contains(h.told, name) {
				t.Error("the agent was not told of the unstage")
			}
		})
	}
}

func TestMountOptions(t *testing.T) {
	reader := csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY
	cases := map[string]struct {
		capability *csi.VolumeCapability
		want       string
	}{
		"none":            {mountCapability("ext4"), ""},
		"flags":           {mountCapability("ext4", "noatime", "discard"), "noatime,discard"},
		"reader":          {withMode(mountCapability("ext4", "noatime"), reader), "noatime,ro"},
		"reader, said so": {withMode(mountCapability("ext4", "ro"), reader), "ro"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			if _, err := h.NodeStageVolume(quiet(t), h.stageRequest("v-ext4", tc.capability)); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(h.mounter.options[0], ","); got != tc.want {
				t.Errorf("options %q, want %q", got, tc.want)
			}
		})
	}
}

// Stage mounts nothing but the file system that was made, and formats nothing: the mounter cannot.
func TestStageRefuses(t *testing.T) {
	content := func(fsType string) func(*host) {
		return func(h *host) { h.mounter.fileSystems[h.volumes["v-ext4"].DevicePath] = fsType }
	}
	cases := map[string]struct {
		prepare    func(*host)
		volumeID   string
		capability *csi.VolumeCapability
		code       codes.Code
		parts      []string
	}{
		"no volume ID":            {nil, "", mountCapability(""), codes.InvalidArgument, []string{"volume_id"}},
		"no capability":           {nil, "v-ext4", nil, codes.InvalidArgument, []string{"volume_capability"}},
		"unknown volume":          {nil, "v-none", mountCapability(""), codes.NotFound, []string{"v-none"}},
		"empty device":            {content(""), "v-ext4", mountCapability(""), codes.FailedPrecondition, []string{"no file system", "ext4"}},
		"another file system":     {content("xfs"), "v-ext4", mountCapability(""), codes.FailedPrecondition, []string{"xfs", "ext4"}},
		"partition table":         {content("unknown data, probably partitions"), "v-ext4", mountCapability(""), codes.FailedPrecondition, []string{"partitions"}},
		"another type asked for":  {nil, "v-ext4", mountCapability("xfs"), codes.FailedPrecondition, []string{"xfs", "ext4"}},
		"block of a file system":  {nil, "v-ext4", blockCapability(), codes.FailedPrecondition, []string{"ext4"}},
		"file system of a block":  {nil, "v-block", mountCapability("ext4"), codes.FailedPrecondition, []string{"block"}},
		"damage beyond fsck":      {func(h *host) { h.mounter.checkError = errors.New("run fsck by hand") }, "v-ext4", mountCapability(""), codes.FailedPrecondition, []string{"by hand"}},
		"mount fails":             {func(h *host) { h.mounter.mountError = errors.New("bad superblock") }, "v-ext4", mountCapability(""), codes.Internal, []string{"bad superblock"}},
		"volume is not ready":     {func(h *host) { h.errs["v-ext4"] = fmt.Errorf("being removed: %w", ErrPrecondition) }, "v-ext4", mountCapability(""), codes.FailedPrecondition, []string{"being removed"}},
		"another volume is there": {func(h *host) { h.mounter.mounts = []Mounted{{Device: "/dev/other", Path: h.stage}} }, "v-ext4", mountCapability(""), codes.FailedPrecondition, []string{"/dev/other"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			if tc.prepare != nil {
				tc.prepare(h)
			}
			before := len(h.mounter.mounts)
			_, err := h.NodeStageVolume(quiet(t), h.stageRequest(tc.volumeID, tc.capability))
			wantCode(t, err, tc.code, tc.parts...)
			if len(h.mounter.mounts) != before {
				t.Errorf("mounts %v", h.mounter.mounts)
			}
		})
	}
}

func TestStageReadOnlySkipsCheck(t *testing.T) {
	h := newHost(t)
	h.mounter.checkError = errors.New("fsck must not run")
	if _, err := h.NodeStageVolume(quiet(t), h.stageRequest("v-ext4", mountCapability("ext4", "ro"))); err != nil {
		t.Fatal(err)
	}
}

func TestPublish(t *testing.T) {
	single := csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
	multi := csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
	published := func(h *host, t *testing.T, capability *csi.VolumeCapability, readOnly bool) {
		request := h.publishRequest("v-ext4", capability)
		request.Readonly = readOnly
		request.TargetPath += "-first"
		if _, err := h.NodePublishVolume(quiet(t), request); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		capability   *csi.VolumeCapability
		before       func(*host, *testing.T)
		change       func(*csi.NodePublishVolumeRequest)
		code         codes.Code
		part         string
		wantReadOnly bool
	}{
		"writable":  {capability: mountCapability("")},
		"read-only": {capability: mountCapability(""), change: func(r *csi.NodePublishVolumeRequest) { r.Readonly = true }, wantReadOnly: true},
		"second target of several writers": {
			capability: withMode(mountCapability(""), multi),
			before:     func(h *host, t *testing.T) { published(h, t, withMode(mountCapability(""), multi), false) },
		},
		"second target of a single writer": {
			capability: withMode(mountCapability(""), single),
			before:     func(h *host, t *testing.T) { published(h, t, withMode(mountCapability(""), single), false) },
			code:       codes.FailedPrecondition, part: "-first",
		},
		"no target path":  {capability: mountCapability(""), change: func(r *csi.NodePublishVolumeRequest) { r.TargetPath = "" }, code: codes.InvalidArgument, part: "target_path"},
		"no staging path": {capability: mountCapability(""), change: func(r *csi.NodePublishVolumeRequest) { r.StagingTargetPath = "" }, code: codes.FailedPrecondition, part: "staging_target_path"},
		"not staged":      {capability: mountCapability(""), change: func(r *csi.NodePublishVolumeRequest) { r.StagingTargetPath += "-other" }, code: codes.FailedPrecondition, part: "staged"},
		"no capability":   {change: func(r *csi.NodePublishVolumeRequest) { r.VolumeCapability = nil }, code: codes.InvalidArgument, part: "volume_capability"},
		"another volume is there": {
			capability: mountCapability(""),
			before: func(h *host, _ *testing.T) {
				h.mounter.mounts = append(h.mounter.mounts, Mounted{Device: "/dev/other", Path: h.target})
			},
			code: codes.FailedPrecondition, part: "/dev/other",
		},
		"writable where read-only is asked": {
			capability: mountCapability(""),
			before: func(h *host, _ *testing.T) {
				h.mounter.mounts = append(h.mounter.mounts, Mounted{Device: h.volumes["v-ext4"].DevicePath, Path: h.target})
			},
			change: func(r *csi.NodePublishVolumeRequest) { r.Readonly = true },
			code:   codes.AlreadyExists, part: "writable",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			if _, err := h.NodeStageVolume(quiet(t), h.stageRequest("v-ext4", mountCapability(""))); err != nil {
				t.Fatal(err)
			}
			if tc.before != nil {
				tc.before(h, t)
			}
			request := h.publishRequest("v-ext4", tc.capability)
			if tc.change != nil {
				tc.change(request)
			}
			_, err := h.NodePublishVolume(quiet(t), request)
			wantCode(t, err, tc.code, tc.part)
			if err != nil {
				return
			}
			mounted, ok, _ := h.mountAt(h.target)
			if !ok || mounted.ReadOnly != tc.wantReadOnly {
				t.Errorf("mounted %v %v, want read-only %v", ok, mounted, tc.wantReadOnly)
			}
		})
	}
}

// A bind that is made but not read-only, as it was to be, must not stay.
func TestPublishUndoesHalfABind(t *testing.T) {
	h := newHost(t)
	if _, err := h.NodeStageVolume(quiet(t), h.stageRequest("v-ext4", mountCapability(""))); err != nil {
		t.Fatal(err)
	}
	h.mounter.bindError = errors.New("remount failed")
	_, err := h.NodePublishVolume(quiet(t), h.publishRequest("v-ext4", mountCapability("")))
	wantCode(t, err, codes.Internal, "remount failed")
	if _, ok, _ := h.mountAt(h.target); ok {
		t.Error("the bind is left")
	}
	if _, err := os.Stat(h.target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the target is left: %v", err)
	}
}

// Pods on a staged volume restart even when the volume's object is lost.
func TestPublishNeedsNoObject(t *testing.T) {
	h := newHost(t)
	if _, err := h.NodeStageVolume(quiet(t), h.stageRequest("v-ext4", mountCapability(""))); err != nil {
		t.Fatal(err)
	}
	delete(h.volumes, "v-ext4")
	if _, err := h.NodePublishVolume(quiet(t), h.publishRequest("v-ext4", mountCapability(""))); err != nil {
		t.Fatal(err)
	}
}

func TestUnpublishKeepsWhatIsNotAMount(t *testing.T) {
	h := newHost(t)
	if err := os.MkdirAll(h.target, 0o750); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(h.target, "data")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := h.NodeUnpublishVolume(quiet(t), &csi.NodeUnpublishVolumeRequest{VolumeId: "v-ext4", TargetPath: h.target})
	wantCode(t, err, codes.Internal, h.target)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestStatsAndExpand(t *testing.T) {
	for name, capability := range map[string]*csi.VolumeCapability{"v-ext4": mountCapability(""), "v-block": blockCapability()} {
		t.Run(name, func(t *testing.T) {
			h, ctx := newHost(t), quiet(t)
			if _, err := h.NodeStageVolume(ctx, h.stageRequest(name, capability)); err != nil {
				t.Fatal(err)
			}
			if _, err := h.NodePublishVolume(ctx, h.publishRequest(name, capability)); err != nil {
				t.Fatal(err)
			}
			block := capability.GetBlock() != nil
			stats, err := h.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: name, VolumePath: h.target})
			if err != nil {
				t.Fatal(err)
			}
			if usage := stats.GetUsage(); block && (len(usage) != 1 || usage[0].GetTotal() != 8*mib) ||
				!block && (len(usage) != 2 || usage[0].GetAvailable() != 60 || usage[1].GetUnit() != csi.VolumeUsage_INODES) {
				t.Errorf("usage %v", usage)
			}
			expanded, err := h.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{
				VolumeId: name, VolumePath: h.target, CapacityRange: &csi.CapacityRange{RequiredBytes: 8 * mib},
			})
			if err != nil || expanded.GetCapacityBytes() != 8*mib {
				t.Errorf("expanded %v, error %v", expanded, err)
			}
			if grown := len(h.mounter.grown) == 1; grown == block {
				t.Errorf("file systems grown: %v", h.mounter.grown)
			}
			_, err = h.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{
				VolumeId: name, VolumePath: h.target, CapacityRange: &csi.CapacityRange{RequiredBytes: 9 * mib},
			})
			wantCode(t, err, codes.FailedPrecondition, "8388608", "9437184")
			_, err = h.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: name, VolumePath: h.target + "/none"})
			wantCode(t, err, codes.NotFound)
		})
	}
}

func TestNodeCallsForOneVolumeExcludeEachOther(t *testing.T) {
	h, ctx := newHost(t), quiet(t)
	unlock, err := h.locks.lock("v-ext4")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"stage": func() error {
			_, err := h.NodeStageVolume(ctx, h.stageRequest("v-ext4", mountCapability("")))
			return err
		},
		"publish": func() error {
			_, err := h.NodePublishVolume(ctx, h.publishRequest("v-ext4", mountCapability("")))
			return err
		},
		"unpublish": func() error {
			_, err := h.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: "v-ext4", TargetPath: h.target})
			return err
		},
		"unstage": func() error {
			_, err := h.NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{VolumeId: "v-ext4", StagingTargetPath: h.stage})
			return err
		},
		"expand": func() error {
			_, err := h.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{VolumeId: "v-ext4", VolumePath: h.target})
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) { wantCode(t, call(), codes.Aborted, "v-ext4") })
	}
	if _, err := h.NodeStageVolume(ctx, h.stageRequest("v-xfs", mountCapability(""))); err != nil {
		t.Errorf("another volume waits: %v", err)
	}
	unlock()
	if _, err := h.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: "v-ext4", TargetPath: h.target}); err != nil {
		t.Errorf("after the unlock: %v", err)
	}
}

func TestNodeGetInfo(t *testing.T) {
	long := strings.Repeat("a-long-node-name.", 12) + "example"
	for _, name := range []string{"node-1", long} {
		info, err := NewNode(name, nil, nil, nil).NodeGetInfo(quiet(t), &csi.NodeGetInfoRequest{})
		if err != nil {
			t.Fatal(err)
		}
		value := info.GetAccessibleTopology().GetSegments()[v1alpha1.TopologyKey]
		if info.GetNodeId() != name || value != lvm.TopologyValue(name) || len(value) > 63 {
			t.Errorf("node ID %q topology %q", info.GetNodeId(), value)
		}
	}
}
