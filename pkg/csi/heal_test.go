package csi

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
)

// A file system that is smaller than its device grows at the next stage or publish, however that came to be.
func TestHeal(t *testing.T) {
	for name, tc := range map[string]struct {
		flags []string
		want  bool
	}{
		"writable":  {nil, true},
		"read-only": {[]string{"ro"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, ctx := newHost(t), quiet(t)
			device, capability := h.volumes["v-ext4"].DevicePath, mountCapability("ext4", tc.flags...)
			steps := map[string]func() error{
				"stage": func() error {
					_, err := h.NodeStageVolume(ctx, h.stageRequest("v-ext4", capability))
					return err
				},
				"publish": func() error {
					_, err := h.NodePublishVolume(ctx, h.publishRequest("v-ext4", capability))
					return err
				},
			}
			for _, step := range []string{"stage", "stage", "publish", "publish"} {
				h.mounter.smaller[device], h.mounter.grown = true, nil
				if err := steps[step](); err != nil {
					t.Fatal(err)
				}
				if got := slices.Equal(h.mounter.grown, []string{device}); got != tc.want {
					t.Errorf("%s: grown %q, want %v", step, h.mounter.grown, tc.want)
				}
			}
			h.mounter.grown = nil
			if err := errors.Join(steps["stage"](), steps["publish"]()); err != nil || len(h.mounter.grown) > 0 {
				t.Errorf("once more: grown %q, error %v", h.mounter.grown, err)
			}
		})
	}
}

// A pod that starts again on a staged volume starts, whatever is found out about the size.
func TestHealFails(t *testing.T) {
	h, ctx := newHost(t), quiet(t)
	h.mounter.smallerError = errors.New("input/output error")
	_, err := h.NodeStageVolume(ctx, h.stageRequest("v-ext4", mountCapability("")))
	wantCode(t, err, codes.Internal, "input/output error")
	if _, err := h.NodePublishVolume(ctx, h.publishRequest("v-ext4", mountCapability(""))); err != nil {
		t.Error(err)
	}
}

func TestFileSystemSize(t *testing.T) {
	const blocks = 1 << 33
	little, big := binary.LittleEndian, binary.BigEndian
	for name, tc := range map[string]struct {
		write            func(device []byte)
		wantBytes, block int64
	}{
		"ext4 without 64bit": {func(b []byte) {
			little.PutUint16(b[1024+0x38:], 0xef53)
			little.PutUint32(b[1024+4:], 1<<31)
			little.PutUint32(b[1024+0x150:], 7)
		}, 1 << 41, 1024},
		"ext4": {func(b []byte) {
			little.PutUint16(b[1024+0x38:], 0xef53)
			little.PutUint32(b[1024+0x18:], 2)
			little.PutUint32(b[1024+0x60:], 0x80)
			little.PutUint32(b[1024+4:], 5)
			little.PutUint32(b[1024+0x150:], 2)
		}, (blocks + 5) * 4096, 4096},
		"xfs": {func(b []byte) {
			copy(b, "XFSB")
			big.PutUint32(b[4:], 4096)
			big.PutUint64(b[8:], blocks)
		}, blocks * 4096, 4096},
		"btrfs": {func(b []byte) {
			copy(b[64<<10+0x40:], "_BHRfS_M")
			little.PutUint64(b[64<<10+0x70:], blocks)
			little.PutUint32(b[64<<10+0x90:], 4096)
		}, blocks, 4096},
		"none": {func([]byte) {}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			content := make([]byte, 128<<10)
			tc.write(content)
			path := filepath.Join(t.TempDir(), "device")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			bytes, block, err := fileSystemSize(file)
			if bytes != tc.wantBytes || block != tc.block || errors.Is(err, errNoSuperblock) != (tc.block == 0) {
				t.Errorf("%d bytes in blocks of %d, error %v; want %d and %d", bytes, block, err, tc.wantBytes, tc.block)
			}
		})
	}
}

// Nobody waits for a device that does not answer, and one that is lost does not hold up the end of a pod.
func TestLostDevice(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(h *host, hung chan struct{})
		code    codes.Code
		// detached is true when the mount is not waited for.
		detached bool
		wantTime time.Duration
	}{
		"all is well": {},
		"unmount hangs": {
			prepare:  func(h *host, hung chan struct{}) { h.mounter.unmount = func(string) error { <-hung; return nil } },
			detached: true, wantTime: unmountPatience,
		},
		"unmount hangs after the mount is gone": {
			prepare: func(h *host, hung chan struct{}) {
				h.mounter.unmount = func(target string) error {
					err := h.mounter.remove(target)
					<-hung
					return err
				}
			},
			wantTime: unmountPatience,
		},
		"the device is gone": {
			prepare: func(h *host, _ chan struct{}) {
				h.mounter.unmount = func(string) error { return errors.New("input/output error") }
				_ = os.Remove(h.volumes["v-ext4"].DevicePath)
			},
			detached: true,
		},
		"in use": {
			prepare: func(h *host, _ chan struct{}) {
				h.mounter.unmount = func(string) error { return errors.New("target is busy") }
			},
			code: codes.Internal,
		},
	} {
		directory := t.TempDir()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, ctx := newHostIn(t, directory), t.Context()
				if _, err := h.NodeStageVolume(ctx, h.stageRequest("v-ext4", mountCapability(""))); err != nil {
					t.Fatal(err)
				}
				hung := make(chan struct{})
				defer close(hung)
				if tc.prepare != nil {
					tc.prepare(h, hung)
				}
				began := time.Now()
				wantCode(t, h.unstage(ctx, "v-ext4"), tc.code)
				if took := time.Since(began); took != tc.wantTime {
					t.Errorf("it took %s, want %s", took, tc.wantTime)
				}
				if got := len(h.mounter.detached) > 0; got != tc.detached || tc.code == codes.OK && len(h.mounter.mounts) != 0 {
					t.Errorf("detached %v, want %v; mounts %v", got, tc.detached, h.mounter.mounts)
				}
			})
		})
	}
}

func TestStatsOfAHungDevice(t *testing.T) {
	directory := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h, ctx := newHostIn(t, directory), t.Context()
		if _, err := h.NodeStageVolume(ctx, h.stageRequest("v-ext4", mountCapability(""))); err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int32
		hung := make(chan struct{})
		h.mounter.usage = func() (Usage, error) {
			calls.Add(1)
			<-hung
			return Usage{}, nil
		}
		for range 3 {
			_, err := h.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: "v-ext4", VolumePath: h.stage})
			wantCode(t, err, codes.Unavailable, "does not answer")
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d threads hang", n)
		}
		close(hung)
		synctest.Wait()
		h.mounter.usage = nil
		if _, err := h.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: "v-ext4", VolumePath: h.stage}); err != nil {
			t.Errorf("when it answers again: %v", err)
		}
	})
}
