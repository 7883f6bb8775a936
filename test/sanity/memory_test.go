//go:build !lab

package sanity_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/berth-dev/berth/pkg/agent"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/csi"
)

// formats remembers the file systems that the agent made, and what it erased not at all: sparse files are empty.
type formats struct {
	mu    sync.Mutex
	types map[string]string
}

func (f *formats) Format(_ context.Context, device, fsType string, _ []string, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.types == nil {
		f.types = map[string]string{}
	}
	f.types[device] = fsType
	return nil
}

// Copy takes the file system over; the files behind the devices are empty.
func (f *formats) Copy(ctx context.Context, request agent.CopyRequest) error {
	f.mu.Lock()
	if fsType, ok := f.types[request.Source]; ok {
		f.types[request.Target] = fsType
	}
	f.mu.Unlock()
	request.Synced(ctx, request.Bytes)
	return nil
}

// Renew notes the file system of a device that was not formatted but made from another.
func (f *formats) Renew(ctx context.Context, device, fsType string) error {
	return f.Format(ctx, device, fsType, nil, false)
}

func (f *formats) Erase(context.Context, string, v1alpha1.EraseMode, int64) error { return nil }

// memoryMounter keeps mounts in memory. A removal of a volume that is still mounted shows up as a missing device.
type memoryMounter struct {
	formats *formats
	mu      sync.Mutex
	mounts  []csi.Mounted
}

func newMemoryMounter(f *formats) *memoryMounter { return &memoryMounter{formats: f} }

func (m *memoryMounter) Mounts() ([]csi.Mounted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mounts), nil
}

func (m *memoryMounter) Mount(device, target, fsType string, options []string) error {
	if found, _ := m.FileSystem(device); found != fsType {
		return fmt.Errorf("mount %s: %q on it, not %q", device, found, fsType)
	}
	m.add(csi.Mounted{Device: device, Path: target, ReadOnly: slices.Contains(options, "ro")})
	return nil
}

func (m *memoryMounter) Bind(source, target string, options []string) error {
	mounted := csi.Mounted{Device: source, Path: target, ReadOnly: slices.Contains(options, "ro")}
	mounts, _ := m.Mounts()
	for _, from := range mounts {
		if from.Path == source {
			mounted.Device = from.Device
		}
	}
	m.add(mounted)
	return nil
}

func (m *memoryMounter) add(mounted csi.Mounted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mounts = append(m.mounts, mounted)
}

func (m *memoryMounter) Unmount(target string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, mounted := range slices.Backward(m.mounts) {
		if mounted.Path == target {
			m.mounts = slices.Delete(m.mounts, i, i+1)
			return nil
		}
	}
	return fmt.Errorf("%s is not mounted", target)
}

func (m *memoryMounter) Detach(target string) error { return m.Unmount(target) }

func (m *memoryMounter) SameDevice(a, b string) bool { return a == b }

func (m *memoryMounter) FileSystem(device string) (string, error) {
	m.formats.mu.Lock()
	defer m.formats.mu.Unlock()
	return m.formats.types[device], nil
}

func (m *memoryMounter) Check(context.Context, string) error { return nil }

func (m *memoryMounter) Smaller(string) (bool, error) { return false, nil }

func (m *memoryMounter) Grow(string, string) error { return nil }

func (m *memoryMounter) Usage(string) (csi.Usage, error) {
	return csi.Usage{TotalBytes: 100, UsedBytes: 40, AvailableBytes: 60, TotalInodes: 10, UsedInodes: 1, AvailableInodes: 9}, nil
}

func (m *memoryMounter) DeviceBytes(device string) (int64, error) {
	info, err := os.Stat(device)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
