//go:build lab

package csi

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/luks"
)

// TestHostCrypt encrypts on this host, in a linear device of its own on BERTH_CSI_DEVICE (see TestHostMounter).
func TestHostCrypt(t *testing.T) {
	disk := os.Getenv("BERTH_CSI_DEVICE")
	if disk == "" {
		t.Fatal("BERTH_CSI_DEVICE is not set")
	}
	for _, fsType := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fsType, func(t *testing.T) { testHostCrypt(t, disk, fsType) })
	}
	t.Run("lost", func(t *testing.T) { testHostCryptLost(t, disk) })
}

const (
	smallBytes, largeBytes = 400 * mib, 480 * mib
	linearName             = "berth-test-linear"
	marker                 = "what nobody may read from the disk"
)

// cryptHost makes file systems for real.
type cryptHost struct{ *host }

func (h cryptHost) FormatEncrypted(ctx context.Context, volumeID, device string, _ int64) error {
	force := map[string]string{"ext4": "-F", "xfs": "-f", "btrfs": "-f"}
	fsType := h.volumes[volumeID].FSType
	return run(ctx, "mkfs."+fsType, force[fsType], device)
}

func run(ctx context.Context, command string, arguments ...string) error {
	cmd := exec.CommandContext(ctx, command, arguments...)
	cmd.Env = append(os.Environ(), "DM_DISABLE_UDEV=1")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, output)
	}
	return nil
}

func newRealCryptHost(t *testing.T, disk, fsType string) *host {
	t.Helper()
	must(t, run(t.Context(), "dmsetup", "create", linearName, "--table", linear(disk, smallBytes)))
	h := newRealHost(t, luks.Path(linearName), fsType)
	h.volumes["v-1"] = StageInfo{DevicePath: luks.Path(linearName), FSType: fsType, Encrypted: true}
	h.Node.volumes = cryptHost{h}
	wipe(t, luks.Path(linearName))
	return h
}

func linear(disk string, bytes int64) string { return fmt.Sprintf("0 %d linear %s 0", bytes/512, disk) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *host) stageReal(ctx context.Context, fsType, key string) error {
	request := h.stageRequest("v-1", mountCapability(fsType, "noatime"))
	request.Secrets = map[string]string{"passphrase": key}
	_, err := h.NodeStageVolume(ctx, request)
	return err
}

func testHostCrypt(t *testing.T, disk, fsType string) {
	ctx, h := quiet(t), newRealCryptHost(t, disk, fsType)
	defer func() { must(t, run(context.Background(), "dmsetup", "remove", "--retry", linearName)) }()
	wantCode(t, h.stageReal(ctx, fsType, ""), codes.InvalidArgument, "passphrase")
	for range 3 {
		must(t, h.stageReal(ctx, fsType, passphrase))
	}
	if label, err := h.crypted().Label(luks.Path(linearName)); label != "v-1" || err != nil || !h.volumes["v-1"].Formatted {
		t.Errorf("label %q, error %v", label, err)
	}
	file := filepath.Join(h.stage, "file")
	must(t, os.WriteFile(file, []byte(marker), 0o600))
	_, err := h.NodePublishVolume(ctx, h.publishRequest("v-1", mountCapability(fsType)))
	must(t, err)

	before := h.totalBytes(ctx, t)
	must(t, run(ctx, "dmsetup", "reload", linearName, "--table", linear(disk, largeBytes)))
	must(t, run(ctx, "dmsetup", "resume", linearName))
	_, err = h.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{
		VolumeId: "v-1", VolumePath: h.target, CapacityRange: &csi.CapacityRange{RequiredBytes: largeBytes - 16*mib},
	})
	must(t, err)
	if after := h.totalBytes(ctx, t); after < before+64*mib {
		t.Errorf("%d bytes after the expansion, %d before", after, before)
	}
	must(t, h.unstageReal(ctx))
	if _, err := os.Stat(luks.Path("berth@v-1")); err == nil {
		t.Error("the plaintext device is left")
	}

	wantCode(t, h.stageReal(ctx, fsType, "another"), codes.InvalidArgument, "passphrase does not open the volume")
	if _, err := os.Stat(luks.Path("berth@v-1")); err == nil {
		t.Error("a wrong passphrase leaves the plaintext device")
	}
	raw, err := os.ReadFile(luks.Path(linearName))
	must(t, err)
	if bytes.Contains(raw, []byte(marker)) {
		t.Error("the plaintext is on the disk")
	}
	must(t, h.stageReal(ctx, fsType, passphrase))
	if content, err := os.ReadFile(file); string(content) != marker || err != nil {
		t.Errorf("read back %q, error %v", content, err)
	}
	must(t, h.unstageReal(ctx))

	wipe(t, luks.Path(linearName))
	wantCode(t, h.stageReal(ctx, fsType, passphrase), codes.FailedPrecondition, "no LUKS2 header")
}

// testHostCryptLost takes the disk away under a mounted volume.
func testHostCryptLost(t *testing.T, disk string) {
	ctx, h := quiet(t), newRealCryptHost(t, disk, "xfs")
	must(t, h.stageReal(ctx, "xfs", passphrase))
	_, err := h.NodePublishVolume(ctx, h.publishRequest("v-1", mountCapability("xfs")))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(h.stage, "file"), make([]byte, mib), 0o600))
	must(t, run(ctx, "dmsetup", "wipe_table", linearName))
	began := time.Now()
	must(t, h.unstageReal(ctx))
	if took := time.Since(began); took > 2*unmountPatience {
		t.Errorf("it took %s", took)
	}
	must(t, run(ctx, "dmsetup", "remove", "--retry", linearName))
	if output, err := exec.CommandContext(ctx, "dmsetup", "ls").CombinedOutput(); err != nil || strings.Contains(string(output), "berth") {
		t.Errorf("devices left: %s, error %v", output, err)
	}
}

func (h *host) crypted() luks.Crypt { return h.Node.crypt }

func (h *host) totalBytes(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	stats, err := h.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: "v-1", VolumePath: h.target})
	must(t, err)
	return stats.GetUsage()[0].GetTotal()
}

func (h *host) unstageReal(ctx context.Context) error {
	_, err := h.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: "v-1", TargetPath: h.target})
	if err != nil {
		return err
	}
	return h.unstage(ctx, "v-1")
}
