package csi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/luks"
	"github.com/berth-dev/berth/pkg/luks/luksfake"
)

const (
	passphrase = "correct horse"
	mapper     = "berth@v-ext4"
	plaintext  = "/dev/mapper/berth@v-ext4"
	blockName  = "berth@v-block"
)

// newCryptHost has v-ext4 and v-block encrypted; formatted ones have their headers, and v-ext4 its file system.
func newCryptHost(t *testing.T, formatted bool) *host {
	t.Helper()
	h := newHost(t)
	for _, name := range []string{"v-ext4", "v-block"} {
		info := h.volumes[name]
		info.Encrypted, info.Formatted = true, formatted
		h.volumes[name] = info
		delete(h.mounter.fileSystems, info.DevicePath)
		if formatted {
			h.crypt.SetHeader(info.DevicePath, name, passphrase)
		}
	}
	if formatted {
		h.mounter.fileSystems[plaintext] = "ext4"
	}
	return h
}

func (h *host) stageEncrypted(ctx context.Context, volumeID, key string, flags ...string) error {
	request := h.stageRequest(volumeID, mountCapability("", flags...))
	if volumeID == "v-block" {
		request.VolumeCapability = blockCapability()
	}
	request.Secrets = map[string]string{"passphrase": key}
	_, err := h.NodeStageVolume(ctx, request)
	return err
}

func (h *host) unstage(ctx context.Context, volumeID string) error {
	_, err := h.NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{VolumeId: volumeID, StagingTargetPath: h.stage})
	return err
}

func (h *host) device(volumeID string) string { return h.volumes[volumeID].DevicePath }

// The first stage makes header and content, the following ones open what is there.
func TestStageEncrypted(t *testing.T) {
	for _, name := range []string{"v-ext4", "v-block"} {
		t.Run(name, func(t *testing.T) {
			h, ctx := newCryptHost(t, false), quiet(t)
			for range 3 {
				for range 3 {
					if err := h.stageEncrypted(ctx, name, passphrase); err != nil {
						t.Fatal(err)
					}
				}
				if err := h.unstage(ctx, name); err != nil {
					t.Fatal(err)
				}
			}
			cycle := []string{"open berth@" + name, "close berth@" + name}
			want := append([]string{"format " + h.device(name), "open berth@" + name, "label " + h.device(name), "close berth@" + name}, slices.Concat(cycle, cycle)...)
			if got := h.crypt.Calls(); !slices.Equal(got, want) {
				t.Errorf("calls %q, want %q", got, want)
			}
			if want := []string{luks.Path("berth@" + name)}; !slices.Equal(h.formatted, want) {
				t.Errorf("formatted %q, want %q", h.formatted, want)
			}
			if label, err := h.crypt.Label(h.device(name)); label != name || err != nil {
				t.Errorf("label %q, error %v", label, err)
			}
		})
	}
}

func TestStageEncryptedRefuses(t *testing.T) {
	cases := map[string]struct {
		formatted bool
		prepare   func(*host)
		key       string
		code      codes.Code
		parts     []string
	}{
		"no passphrase":      {true, nil, "", codes.InvalidArgument, []string{`secrets["passphrase"] is missing`}},
		"no passphrase, new": {false, nil, "", codes.InvalidArgument, []string{`secrets["passphrase"] is missing`}},
		"wrong passphrase":   {true, nil, "battery staple", codes.InvalidArgument, []string{"passphrase does not open the volume"}},
		"header lost": {true, func(h *host) {
			info := h.volumes["v-ext4"]
			info.DevicePath = h.device("v-xfs")
			h.volumes["v-ext4"] = info
		}, passphrase, codes.FailedPrecondition, []string{"no LUKS2 header"}},
		"file system lost": {true, func(h *host) { h.mounter.fileSystems[plaintext] = "" }, passphrase, codes.FailedPrecondition, []string{"no file system"}},
		"new, with data": {false, func(h *host) { h.mounter.fileSystems[h.device("v-ext4")] = "xfs" }, passphrase, codes.FailedPrecondition,
			[]string{"xfs", "not written over"}},
		"new, with another's header": {false, func(h *host) { h.crypt.SetHeader(h.device("v-ext4"), "v-other", passphrase) }, passphrase,
			codes.FailedPrecondition, []string{"v-other", "not written over"}},
		"mkfs fails":  {false, func(h *host) { h.formatError = errors.New("mkfs failed") }, passphrase, codes.Internal, []string{"mkfs failed"}},
		"tag fails":   {false, func(h *host) { h.markError = errors.New("lvchange failed") }, passphrase, codes.Internal, []string{"lvchange failed"}},
		"mount fails": {true, func(h *host) { h.mounter.mountError = errors.New("bad superblock") }, passphrase, codes.Internal, []string{"bad superblock"}},
		"open over another device and in use": {true, func(h *host) {
			h.crypt.SetOpened(mapper, luksfake.Opened{Device: "/dev/other"})
			h.crypt.Fail(func(operation, _ string) error { return map[string]error{"close": errors.New("busy")}[operation] })
		}, passphrase, codes.FailedPrecondition, []string{mapper, "busy"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newCryptHost(t, tc.formatted)
			if tc.prepare != nil {
				tc.prepare(h)
			}
			before := h.crypt.Opened()
			err := h.stageEncrypted(quiet(t), "v-ext4", tc.key)
			wantCode(t, err, tc.code, tc.parts...)
			if tc.key != "" && strings.Contains(fmt.Sprint(err), tc.key) {
				t.Errorf("the passphrase is in %q", err)
			}
			if after := h.crypt.Opened(); len(after) != len(before) || len(h.mounter.mounts) != 0 {
				t.Errorf("open %v, mounts %v", after, h.mounter.mounts)
			}
		})
	}
}

// A process may die after any step of the first stage; the next one goes on, and formats only what was not finished.
func TestStageEncryptedAfterACrash(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare       func(*host)
		wantFormatted bool
	}{
		"after the header": {func(h *host) { h.crypt.SetHeader(h.device("v-ext4"), labelUnfinished, "an earlier key") }, true},
		"after the opening": {func(h *host) {
			h.crypt.SetHeader(h.device("v-ext4"), labelUnfinished, passphrase)
			h.crypt.SetOpened(mapper, luksfake.Opened{Device: h.device("v-ext4")})
		}, true},
		"before the tag": {func(h *host) {
			h.crypt.SetHeader(h.device("v-ext4"), "v-ext4", passphrase)
			h.crypt.SetOpened(mapper, luksfake.Opened{Device: h.device("v-ext4")})
			h.mounter.fileSystems[plaintext] = "ext4"
		}, false},
		"its device came back as another": {func(h *host) {
			h.crypt.SetHeader(h.device("v-ext4"), "v-ext4", passphrase)
			h.crypt.SetOpened(mapper, luksfake.Opened{Device: "/dev/gone"})
			h.mounter.fileSystems[plaintext] = "ext4"
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newCryptHost(t, false)
			tc.prepare(h)
			if err := h.stageEncrypted(quiet(t), "v-ext4", passphrase); err != nil {
				t.Fatal(err)
			}
			if got := len(h.formatted) > 0; got != tc.wantFormatted || !h.volumes["v-ext4"].Formatted {
				t.Errorf("formatted %v, want %v; marked %v", got, tc.wantFormatted, h.volumes["v-ext4"].Formatted)
			}
			if opened := h.crypt.Opened()[mapper]; opened.Device != h.device("v-ext4") || len(h.mounter.mounts) != 1 {
				t.Errorf("open %v, mounts %v", opened, h.mounter.mounts)
			}
		})
	}
}

// A copy is told from its source by the label, and renewed once.
func TestStageCopyOfEncrypted(t *testing.T) {
	h, ctx := newCryptHost(t, true), quiet(t)
	h.crypt.SetHeader(h.device("v-ext4"), "v-source", passphrase)
	for range 2 {
		if err := h.stageEncrypted(ctx, "v-ext4", passphrase); err != nil {
			t.Fatal(err)
		}
		if err := h.unstage(ctx, "v-ext4"); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{plaintext}; !slices.Equal(h.renewed, want) {
		t.Errorf("renewed %q, want %q", h.renewed, want)
	}
}

func TestStageEncryptedDiscards(t *testing.T) {
	for _, flags := range [][]string{{"noatime"}, {"noatime", "discard"}} {
		h := newCryptHost(t, true)
		if err := h.stageEncrypted(quiet(t), "v-ext4", passphrase, flags...); err != nil {
			t.Fatal(err)
		}
		if opened := h.crypt.Opened()[mapper]; opened.Discards != slices.Contains(flags, "discard") {
			t.Errorf("mount flags %q: open %+v", flags, opened)
		}
	}
}

func TestUnstageClosesLater(t *testing.T) {
	h, ctx := newCryptHost(t, true), quiet(t)
	if err := h.stageEncrypted(ctx, "v-ext4", passphrase); err != nil {
		t.Fatal(err)
	}
	h.crypt.Fail(func(operation, _ string) error { return map[string]error{"close": errors.New("busy")}[operation] })
	// Neither object nor device are there any more.
	delete(h.volumes, "v-ext4")
	for range 2 {
		if err := h.unstage(ctx, "v-ext4"); err != nil {
			t.Fatal(err)
		}
	}
	if opened := h.crypt.Opened()[mapper]; !opened.Doomed || len(h.mounter.mounts) != 0 {
		t.Errorf("open %+v, mounts %v", opened, h.mounter.mounts)
	}
}

func TestPublishEncryptedBlock(t *testing.T) {
	h, ctx := newCryptHost(t, true), quiet(t)
	request := h.publishRequest("v-block", blockCapability())
	_, err := h.NodePublishVolume(ctx, request)
	wantCode(t, err, codes.FailedPrecondition, "not open")
	if err := h.stageEncrypted(ctx, "v-block", passphrase); err != nil {
		t.Fatal(err)
	}
	if _, err := h.NodePublishVolume(ctx, request); err != nil {
		t.Fatal(err)
	}
	if mounted, ok, _ := h.mountAt(h.target); !ok || mounted.Device != luks.Path(blockName) {
		t.Errorf("mounted %v %v", ok, mounted)
	}
}

func TestExpandEncrypted(t *testing.T) {
	h, ctx := newCryptHost(t, true), quiet(t)
	if err := h.stageEncrypted(ctx, "v-ext4", passphrase); err != nil {
		t.Fatal(err)
	}
	h.crypt.SetOpened(mapper, luksfake.Opened{Device: h.device("v-ext4"), Grown: true})
	if _, err := h.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{VolumeId: "v-ext4", VolumePath: h.stage}); err != nil {
		t.Fatal(err)
	}
	if h.crypt.Opened()[mapper].Grown || !slices.Equal(h.mounter.grown, []string{plaintext}) {
		t.Errorf("open %+v, grown %q", h.crypt.Opened()[mapper], h.mounter.grown)
	}
}
