package csi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/lvm"
)

// maxStacked bounds how many mounts at one path are taken away: more are nobody's mistake of ours.
const maxStacked = 16

// resolve is a path as the kernel lists it among the mounts, symbolic links followed. The path's last element need
// not exist.
func resolve(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(parent, filepath.Base(path))
	}
	return filepath.Clean(path)
}

// mountAt finds the topmost mount at a path.
func (n *Node) mountAt(path string) (Mounted, bool, error) {
	mounts, err := n.mounter.Mounts()
	if err != nil {
		return Mounted{}, false, err
	}
	path = resolve(path)
	for i := len(mounts) - 1; i >= 0; i-- {
		if mounts[i].Path == path {
			return mounts[i], true, nil
		}
	}
	return Mounted{}, false, nil
}

// otherMounts returns the paths where a device is mounted beside those given.
func (n *Node) otherMounts(device string, known ...string) ([]string, error) {
	mounts, err := n.mounter.Mounts()
	if err != nil {
		return nil, err
	}
	expected := map[string]bool{}
	for _, path := range known {
		expected[resolve(path)] = true
	}
	var others []string
	for _, mounted := range mounts {
		if !expected[mounted.Path] && n.mounter.SameDevice(mounted.Device, device) {
			others = append(others, mounted.Path)
		}
	}
	return others, nil
}

// unmount takes away everything that is mounted at a path. Nothing mounted, or no such path, is no error.
func (n *Node) unmount(ctx context.Context, path string) error {
	for range maxStacked {
		mounted, ok, err := n.mountAt(path)
		if err != nil || !ok {
			return err
		}
		if err := n.takeAway(ctx, mounted); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	return fmt.Errorf("unmount %s: still mounted after %d times: %w", path, maxStacked, errPending)
}

// takeAway unmounts one mount. One whose device is lost or hangs is detached: nobody can wait for it, and the kernel
// keeps the device open, and so safe from removal, until it has let go of it.
func (n *Node) takeAway(ctx context.Context, mounted Mounted) error {
	_, err := n.patience.wait(ctx, "unmount "+mounted.Path, unmountPatience, func() (any, error) {
		return nil, n.mounter.Unmount(mounted.Path)
	})
	if err == nil || !errors.Is(err, errHangs) && !n.lost(mounted) {
		return err
	}
	// An unmount that hangs has taken the mount away before it began to write.
	if now, ok, lookErr := n.mountAt(mounted.Path); lookErr == nil && (!ok || now.Device != mounted.Device) {
		return nil
	}
	klog.FromContext(ctx).Error(err, "Cannot unmount, detach", "path", mounted.Path, "device", mounted.Device)
	return n.mounter.Detach(mounted.Path)
}

// lost says whether a mount's device is gone.
func (n *Node) lost(mounted Mounted) bool {
	if mounted.Block {
		return false
	}
	_, err := n.mounter.DeviceBytes(mounted.Device)
	return err != nil
}

// makeTarget creates what is to be mounted over: a directory, or a file for a block device.
func makeTarget(path string, block bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("create the parent of the target: %w", err)
	}
	if !block {
		if err := os.MkdirAll(path, 0o750); err != nil {
			return fmt.Errorf("create the target: %w", err)
		}
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o640)
	if err != nil {
		return fmt.Errorf("create the target: %w", err)
	}
	return file.Close()
}

// removeTarget removes an empty directory or file. It never descends: what is in a directory is somebody's data.
func removeTarget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the target: %w", err)
	}
	return nil
}

// usedVolume is a volume at a path where it is staged or published.
type usedVolume struct {
	device, path string
	block        bool
}

// inUse finds the volume that is mounted at a path. It asks the mounts only: a look at the path may hang or fail.
// Errors: lvm.ErrNotFound when nothing is.
func (n *Node) inUse(volumeID, path string) (usedVolume, error) {
	mounted, ok, err := n.mountAt(path)
	if err != nil {
		return usedVolume{}, err
	}
	if !ok {
		return usedVolume{}, fmt.Errorf("volume %s at %s: %w", volumeID, path, lvm.ErrNotFound)
	}
	return usedVolume{device: mounted.Device, path: path, block: mounted.Block}, nil
}
