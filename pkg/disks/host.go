package disks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/utils/exec"
)

// Host is this host's block devices. Safe for concurrent use.
type Host struct {
	// sys is sysfs, dev the directory of device nodes.
	sys, dev string
	exec     exec.Interface
	// number is what device an open node is, in Disk.Number's form.
	number func(*os.File) (string, error)
}

// NewHost makes the door; blkid is run by way of exec.
func NewHost(exec exec.Interface) *Host {
	return &Host{sys: "/sys", dev: "/dev", exec: exec, number: deviceNumber}
}

func deviceNumber(file *os.File) (string, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return "", err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", errors.New("it is not a block device")
	}
	return fmt.Sprintf("%d:%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev)), nil
}

// Match finds the block devices that patterns of paths lead to (filepath.Match), each once, sorted by name, however many
// names it has. What else they lead to is passed over, and so is a partition of a disk that is among them.
// Errors: filepath.ErrBadPattern, those of reading sysfs.
func (h *Host) Match(patterns []string) ([]Disk, error) {
	names, err := h.Names(patterns)
	if err != nil {
		return nil, err
	}
	var disks []Disk
	for _, name := range names {
		disk, err := h.read(name)
		if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, disk.PartitionOf) {
			disks = append(disks, disk)
		}
	}
	return disks, nil
}

// Names is the first part of Match: the kernel's names, with partitions. It reads directories and links only.
// Errors: filepath.ErrBadPattern.
func (h *Host) Names(patterns []string) ([]string, error) {
	var names []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		for _, path := range paths {
			if name, ok := h.Name(path); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Name is the kernel's name of the block device that a path leads to; ok is false when it leads to none.
func (h *Host) Name(path string) (name string, ok bool) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", false
	}
	name, ok = strings.CutPrefix(path, h.dev+"/")
	if !ok {
		return "", false
	}
	// How sysfs writes a device in a directory of its own, such as cciss/c0d0.
	name = strings.ReplaceAll(name, "/", "!")
	_, err = os.Stat(h.block(name))
	return name, err == nil
}

// block is a device's directory in sysfs.
func (h *Host) block(name string) string { return filepath.Join(h.sys, "class/block", name) }

func (h *Host) path(name string) string {
	return filepath.Join(h.dev, strings.ReplaceAll(name, "!", "/"))
}
