package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/image"
)

const (
	// diskBytes is the size of each node's own disk. The file is sparse.
	diskBytes = 16 << 30
	// diskFormat changes when the way of filling a disk does.
	diskFormat = "2"
)

// Disk returns the path of the disk that lies under each node's own disk: an ext4 file system with the images in
// containerd's store. It stays in the cache at least until the returned file is closed; a supervisor holds such a file
// too. The caller holds Lock.
func (p *Preparer) Disk(ctx context.Context, images []image.Image, programs map[string]string) (*os.File, error) {
	dir := filepath.Join(p.Cache, "lab", "disks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "disk-"+key(diskFormat, programs["containerd"], imagesKey(images))+".img")
	if exists(path) {
		return HoldDisk(path)
	}
	p.Progress("making the nodes' disk with %d images", len(images))
	if err := removeUnused(dir); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	disk := filepath.Join(temp, "disk.img")
	if err := makeDisk(ctx, disk, filepath.Join(temp, "root"), images, programs); err != nil {
		return nil, fmt.Errorf("make the nodes' disk: %w", err)
	}
	// The copy-on-write format remembers the file's time, so nothing may write to it from here on.
	if err := errors.Join(os.Chmod(disk, 0o444), os.Rename(disk, path)); err != nil {
		return nil, err
	}
	return HoldDisk(path)
}

// HoldDisk keeps a disk in the cache until the file is closed.
func HoldDisk(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(unix.Flock(int(file.Fd()), unix.LOCK_SH), markUsed(file)); err != nil {
		file.Close()
		return nil, fmt.Errorf("hold %s: %w", path, err)
	}
	return file, nil
}

// markUsed sets the access time, by which disks are chosen for removal, and leaves the modification time.
func markUsed(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return os.Chtimes(file.Name(), time.Now(), info.ModTime())
}

// keptDisks is the number of disks that stay in the cache although nobody holds them. A disk takes less than 1 GB.
const keptDisks = 3

// removeUnused deletes disks that nobody holds, except those used last, and what an interrupted run left.
func removeUnused(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var disks []string
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if entry.Type().IsRegular() {
			disks = append(disks, path)
		} else if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	slices.SortFunc(disks, func(a, b string) int { return accessTime(b).Compare(accessTime(a)) })
	for _, path := range disks[min(keptDisks, len(disks)):] {
		if err := removeUnheld(path); err != nil {
			return err
		}
	}
	return nil
}

func removeUnheld(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil
	}
	return os.Remove(path)
}

// accessTime returns the zero time for a file that is not there.
func accessTime(path string) time.Time {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return time.Time{}
	}
	return time.Unix(stat.Atim.Unix())
}

// makeDisk lets this machine's kernel do the work, which in a node takes five times as long.
func makeDisk(ctx context.Context, disk, root string, images []image.Image, programs map[string]string) error {
	store := filepath.Join(root, "containerd")
	if err := os.MkdirAll(store, 0o755); err != nil {
		return err
	}
	if err := fillStore(ctx, store, images, programs); err != nil {
		return err
	}
	file, err := os.Create(disk)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(diskBytes); err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "root_owner=0:0", "-d", root, disk).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, output)
	}
	return nil
}
