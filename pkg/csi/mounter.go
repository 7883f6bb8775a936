package csi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	"k8s.io/mount-utils"
	utilexec "k8s.io/utils/exec"
)

// Mounter is the door to mounts, file systems and block devices of one host. There is no method that formats: a
// file system is made once, by the agent, before the volume is Ready.
type Mounter interface {
	// Mounts returns what is mounted, in the order in which it was.
	Mounts() ([]Mounted, error)
	// Mount mounts a device. Bind makes a file or directory appear at target.
	Mount(device, target, fsType string, options []string) error
	Bind(source, target string, options []string) error
	// Unmount takes away the topmost mount at target. Detach does so without waiting for what is in use or still to be
	// written: it goes when it can.
	Unmount(target string) error
	Detach(target string) error
	// SameDevice says whether two paths are the same block device.
	SameDevice(a, b string) bool
	// FileSystem returns the type of the file system on a device, or "" when there is none. Something that is not a
	// file system, such as a partition table, has a name too.
	FileSystem(device string) (string, error)
	// Check repairs what can be repaired without being asked. Errors: the file system needs a person.
	Check(ctx context.Context, device string) error
	// Smaller says whether the file system on a device leaves room on it unused. It runs no process.
	Smaller(device string) (bool, error)
	// Grow makes the file system on a device, mounted at path, as large as the device.
	Grow(device, path string) error
	// Usage returns the bytes and inodes of the file system that path is on.
	Usage(path string) (Usage, error)
	// DeviceBytes returns a block device's size.
	DeviceBytes(device string) (int64, error)
}

// Mounted is one mount.
type Mounted struct {
	// Device is the block device behind the mount. For a device node that is bound to a file it is that file.
	Device   string
	Path     string
	ReadOnly bool
	// Block is true of a bound device node.
	Block bool
}

// Usage is what a file system has and uses, in bytes and inodes.
type Usage struct {
	TotalBytes, UsedBytes, AvailableBytes    int64
	TotalInodes, UsedInodes, AvailableInodes int64
}

// hostMounter does it on the host, through the commands that mount-utils runs.
type hostMounter struct {
	mounter *mount.SafeFormatAndMount
	resizer *mount.ResizeFs
	exec    utilexec.Interface
}

// NewMounter returns the Mounter of this host. It needs mount, umount, blkid, fsck and the tools of the file systems.
func NewMounter() Mounter {
	executor := utilexec.New()
	return &hostMounter{
		// Not through systemd-run: the mounts belong to the host's mount namespace already.
		mounter: mount.NewSafeFormatAndMount(mount.NewWithoutSystemd(""), executor),
		resizer: mount.NewResizeFs(executor),
		exec:    executor,
	}
}

func (m *hostMounter) Mounts() ([]Mounted, error) {
	infos, err := mount.ParseMountInfo("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	mounts := make([]Mounted, 0, len(infos))
	for i := range infos {
		info := &infos[i]
		mounted := Mounted{Device: info.Source, Path: info.MountPoint}
		for _, option := range info.MountOptions {
			mounted.ReadOnly = mounted.ReadOnly || option == "ro"
		}
		// A bound device node is a mount of the file system that the node is in, with the node as its root. To stat
		// nothing else matters: a mount of a file system that hangs would hang this too.
		if info.Root != "/" && isDeviceFileSystem(info.FsType) {
			mounted.Device, mounted.Block = info.MountPoint, true
		}
		mounts = append(mounts, mounted)
	}
	return mounts, nil
}

func isDeviceFileSystem(fsType string) bool {
	return fsType == "devtmpfs" || fsType == "tmpfs"
}

func (m *hostMounter) Mount(device, target, fsType string, options []string) error {
	return m.mounter.Mount(device, target, fsType, options)
}

func (m *hostMounter) Bind(source, target string, options []string) error {
	return m.mounter.Mount(source, target, "", append([]string{"bind"}, options...))
}

// Unmount is the system call: umount(8) looks at the target first, which fails where the device is lost, and cannot be
// ended where it hangs. Nothing of what it does besides is needed.
func (m *hostMounter) Unmount(target string) error {
	return os.NewSyscallError("umount", unix.Unmount(target, unix.UMOUNT_NOFOLLOW))
}

func (m *hostMounter) Detach(target string) error {
	return os.NewSyscallError("umount", unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH))
}

func (m *hostMounter) SameDevice(a, b string) bool {
	first, ok := deviceNumber(a)
	if !ok {
		return false
	}
	second, ok := deviceNumber(b)
	return ok && first == second
}

func deviceNumber(path string) (uint64, bool) {
	var stat unix.Stat_t
	// A mount's source is no path for many file systems; a relative one would be found in the working directory.
	if path == "" || path[0] != '/' || unix.Stat(path, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, false
	}
	return stat.Rdev, true
}

func (m *hostMounter) FileSystem(device string) (string, error) {
	return m.mounter.GetDiskFormat(device)
}

// Exit statuses of fsck(8).
const (
	fsckCorrected   = 1
	fsckUncorrected = 4
)

// Check runs fsck -a, as the kubelet does for its own volumes. For xfs and btrfs, which repair at mount, it does
// nothing. Only errors that fsck found and left are errors here; whatever else is wrong, mount will say.
func (m *hostMounter) Check(ctx context.Context, device string) error {
	output, err := m.exec.Command("fsck", "-a", device).CombinedOutput()
	if err == nil {
		return nil
	}
	logger := klog.FromContext(ctx)
	var exit utilexec.ExitError
	if !errors.As(err, &exit) {
		logger.Error(err, "Cannot run fsck", "device", device)
		return nil
	}
	if exit.ExitStatus()&fsckUncorrected != 0 {
		return fmt.Errorf("fsck of %s found errors that it cannot correct: %s", device, output)
	}
	if exit.ExitStatus() == fsckCorrected {
		logger.Info("Corrected errors of the file system", "device", device, "output", string(output))
		return nil
	}
	logger.V(2).Info("Cannot check the file system", "device", device, "exitStatus", exit.ExitStatus(), "output", string(output))
	return nil
}

func (m *hostMounter) DeviceBytes(device string) (int64, error) {
	file, err := os.Open(device)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", device, err)
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", device, err)
	}
	return size, nil
}
