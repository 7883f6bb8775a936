package nodeos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/layout"
)

// mount is one mount of the node.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data)
	// The kernel may have mounted its device file system already.
	if errors.Is(err, unix.EBUSY) && m.kind == "devtmpfs" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.source, m.target, err)
	}
	return nil
}

func mountAll(mounts ...mount) error {
	for _, m := range mounts {
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}

// mountBasics gives the first process what it needs to see its own kernel instead of the host's.
func mountBasics() error {
	return mountAll(
		mount{"proc", "/proc", "proc", 0, ""},
		mount{"sysfs", "/sys", "sysfs", 0, ""},
		mount{"devtmpfs", "/dev", "devtmpfs", 0, "mode=0755"},
	)
}

const (
	// scratch is a directory that every host has; the tmpfs on it holds the overlay's upper layer.
	scratch = "/mnt"
	newRoot = scratch + "/root"
	// oldRoot is the host's tree during the switch, seen from the new root.
	oldRoot = newRoot + "/.host"
	// stateMount is where the node's own disk is mounted.
	stateMount = "/var/lib/lab-state"
	stateDisk  = "/dev/ubda"
)

// kept are the directories that survive a power cut, on the node's own disk.
var kept = map[string]string{
	"containerd": "/var/lib/containerd",
	"kubelet":    "/var/lib/kubelet",
	"berth":      "/var/lib/berth",
	"log":        "/var/log",
	"etc-lvm":    "/etc/lvm",
}

// buildRoot makes the node's root and switches to it. It ends with pivot_root and not chroot: with a chroot the
// mount tables of privileged pods show paths of the wrong tree.
func buildRoot(boot layout.Boot) error {
	if err := loadModule(boot, "kernel/fs/overlayfs/overlay.ko"); err != nil {
		return err
	}
	if err := mountOverlay(); err != nil {
		return err
	}
	if err := mountAll(
		mount{"proc", newRoot + "/proc", "proc", 0, ""},
		mount{"sysfs", newRoot + "/sys", "sysfs", 0, ""},
		mount{"devtmpfs", newRoot + "/dev", "devtmpfs", 0, "mode=0755"},
		mount{"devpts", newRoot + "/dev/pts", "devpts", 0, "mode=0620,ptmxmode=0666,gid=5"},
		mount{"tmpfs", newRoot + "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		mount{"mqueue", newRoot + "/dev/mqueue", "mqueue", 0, ""},
		mount{"tmpfs", newRoot + "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
		mount{"cgroup2", newRoot + "/sys/fs/cgroup", "cgroup2", 0, ""},
		mount{stateDisk, newRoot + stateMount, "ext4", 0, ""},
	); err != nil {
		return err
	}
	if err := bindKept(); err != nil {
		return err
	}
	// What the node writes for the host goes past the overlay, straight to the host's directory.
	if err := bind(boot.Shared, newRoot+boot.Shared); err != nil {
		return err
	}
	if err := showHost(); err != nil {
		return err
	}
	return switchRoot()
}

// hostMount is the host's tree without the overlay, read-only, for comparison. It is mounted anew, not bound: what
// the overlay remembers is remembered per file system.
const hostMount = "/run/lab-host"

func showHost() error {
	return mount{"none", newRoot + hostMount, "hostfs", unix.MS_RDONLY, "/"}.do()
}

func mountOverlay() error {
	if err := (mount{"tmpfs", scratch, "tmpfs", 0, "mode=0755"}).do(); err != nil {
		return err
	}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(scratch, dir), 0o755); err != nil {
			return err
		}
	}
	options := "lowerdir=/,upperdir=" + scratch + "/upper,workdir=" + scratch + "/work"
	return mount{"overlay", newRoot, "overlay", 0, options}.do()
}

func bindKept() error {
	for name, target := range kept {
		source := filepath.Join(newRoot+stateMount, name)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return err
		}
		if err := bind(source, newRoot+target); err != nil {
			return err
		}
	}
	return nil
}

func bind(source, target string) error {
	return mount{source, target, "", unix.MS_BIND, ""}.do()
}

func switchRoot() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := os.MkdirAll(oldRoot, 0o755); err != nil {
		return err
	}
	if err := unix.PivotRoot(newRoot, oldRoot); err != nil {
		return fmt.Errorf("switch root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.host", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's tree: %w", err)
	}
	// Shared, as systemd makes it on a real node: Bidirectional mounts of pods need it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	return nil
}

// loadModule inserts a module by its path below the kernel's module directory. It serves before modprobe can work:
// the module directory has its usual place only in the new root.
func loadModule(boot layout.Boot, path string) error {
	file, err := os.Open(filepath.Join(moduleDirectory(boot), path))
	if err != nil {
		return err
	}
	defer file.Close()
	err = unix.FinitModule(int(file.Fd()), "", 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load module %s: %w", path, err)
	}
	return nil
}

func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

func moduleDirectory(boot layout.Boot) string { return filepath.Join(boot.Modules, kernelRelease()) }
