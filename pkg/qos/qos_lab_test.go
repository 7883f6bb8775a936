//go:build lab

package qos

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHost sets limits in a tree of its own in this host's cgroups: BERTH_CSI_DEVICE is a block device, which is only bound.
// It needs root, and the io controller on for the children of /sys/fs/cgroup; it leaves nothing behind.
func TestHost(t *testing.T) {
	disk := os.Getenv("BERTH_CSI_DEVICE")
	if disk == "" {
		t.Fatal("BERTH_CSI_DEVICE is not set")
	}
	const root = "/sys/fs/cgroup/berth-test"
	pods := filepath.Join(root, "kubepods")
	pod := filepath.Join(pods, "pod"+uid1)
	for _, directory := range []string{root, pods, pod} {
		if err := os.Mkdir(directory, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
		defer os.Remove(directory)
	}
	target := filepath.Join(t.TempDir(), "volumeDevices", "publish", "pvc-1", uid1)
	if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, nil, 0o600), unix.Mount(disk, target, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()

	apply := func(limits Limits) error {
		results, err := NewHost(root).Apply([]Volume{{ID: "v", Devices: []string{disk}, Limits: limits}})
		return errors.Join(err, results[0].Err)
	}
	if err := apply(Limits{ReadBytes: 1 << 20}); !errors.Is(err, errNoController) {
		t.Errorf("without the io controller: %v", err)
	}
	for _, directory := range []string{root, pods} {
		if err := os.WriteFile(filepath.Join(directory, "cgroup.subtree_control"), []byte("+io"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	device, _ := blockDevice(disk)
	for _, limits := range []Limits{{ReadBytes: 1 << 20, WriteOperations: 7}, {ReadBytes: 1 << 20, WriteOperations: 7}, {WriteOperations: 8}, {}} {
		if err := apply(limits); err != nil {
			t.Errorf("%+v: %v", limits, err)
		}
		content, err := os.ReadFile(filepath.Join(pod, "io.max"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := limitsOf(string(content), device); got != limits || err != nil {
			t.Errorf("%q, want %+v", strings.TrimSpace(string(content)), limits)
		}
	}
}
