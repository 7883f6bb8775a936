package csi

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
)

// fakeMounter keeps mounts in memory; devices are files.
type fakeMounter struct {
	mu     sync.Mutex
	mounts []Mounted
	// options of each mount made, in order; binds and unmounts are not in it.
	options [][]string
	// fileSystems by device; a device that is not in it carries fallback.
	fileSystems map[string]string
	fallback    func(device string) string
	checkError  error
	mountError  error
	bindError   error
	grown       []string
	// smaller are the devices that their file systems do not fill; smallerError is what looking says.
	smaller      map[string]bool
	smallerError error
	// unmount answers in place of an unmount that works; detached are the paths of mounts that were not waited for.
	unmount  func(target string) error
	detached []string
	// usage answers in place of figures.
	usage func() (Usage, error)
}

var _ Mounter = &fakeMounter{}

func (m *fakeMounter) Mounts() ([]Mounted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Mounted(nil), m.mounts...), nil
}

func (m *fakeMounter) Mount(device, target, _ string, options []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mountError != nil {
		return m.mountError
	}
	m.options = append(m.options, options)
	m.mounts = append(m.mounts, Mounted{Device: device, Path: resolve(target), ReadOnly: isReadOnly(options)})
	return nil
}

func (m *fakeMounter) Bind(source, target string, options []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	mounted := Mounted{Device: source, Path: resolve(target), ReadOnly: isReadOnly(options), Block: !isDirectory(target)}
	for _, from := range m.mounts {
		if from.Path == source {
			mounted.Device = from.Device
			mounted.ReadOnly = mounted.ReadOnly || from.ReadOnly
		}
	}
	m.mounts = append(m.mounts, mounted)
	return m.bindError
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (m *fakeMounter) Unmount(target string) error {
	if m.unmount != nil {
		return m.unmount(target)
	}
	return m.remove(target)
}

func (m *fakeMounter) Detach(target string) error {
	m.detached = append(m.detached, target)
	return m.remove(target)
}

func (m *fakeMounter) remove(target string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.mounts) - 1; i >= 0; i-- {
		if m.mounts[i].Path == target {
			m.mounts = append(m.mounts[:i], m.mounts[i+1:]...)
			return nil
		}
	}
	return fmt.Errorf("%s: not mounted", target)
}

func (m *fakeMounter) SameDevice(a, b string) bool { return a == b }

func (m *fakeMounter) FileSystem(device string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if fsType, ok := m.fileSystems[device]; ok || m.fallback == nil {
		return fsType, nil
	}
	return m.fallback(device), nil
}

func (m *fakeMounter) Check(context.Context, string) error { return m.checkError }

func (m *fakeMounter) Smaller(device string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.smaller[device], m.smallerError
}

func (m *fakeMounter) Grow(device, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.grown = append(m.grown, device)
	delete(m.smaller, device)
	return nil
}

func (m *fakeMounter) Usage(string) (Usage, error) {
	if m.usage != nil {
		return m.usage()
	}
	return Usage{TotalBytes: 100, UsedBytes: 30, AvailableBytes: 60, TotalInodes: 10, UsedInodes: 1, AvailableInodes: 9}, nil
}

// plaintextBytes is the size of every device in /dev/mapper.
const plaintextBytes = 7 * mib

func (m *fakeMounter) DeviceBytes(device string) (int64, error) {
	if strings.HasPrefix(device, "/dev/mapper/") {
		return plaintextBytes, nil
	}
	info, err := os.Stat(device)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
