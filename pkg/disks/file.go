package disks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// keepPercent is what is left free of the file system that a file is on: it is the host's, too.
	keepPercent = 10
	// allocateBytes is allocated at a time: a signal that comes meanwhile costs one such piece.
	allocateBytes = 1 << 30
)

// growFile opens a file that has at least sizeBytes, made or extended as far as it has not. Its blocks are allocated, so
// that writing to it never runs out of space, unless the file system cannot do that.
// Errors: too little would be left of the file system; it is no regular file.
func growFile(path string, sizeBytes int64) (*os.File, error) {
	present, err := sizeOf(path)
	if err != nil {
		return nil, err
	}
	if present < sizeBytes {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := checkRoom(filepath.Dir(path), sizeBytes-present); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if present < sizeBytes {
		if err := allocate(file, present, sizeBytes); err != nil {
			file.Close()
			return nil, fmt.Errorf("allocate %s: %w", path, err)
		}
	}
	return file, nil
}

// sizeOf is 0 for a file that is not there.
func sizeOf(path string) (int64, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", path)
	}
	return info.Size(), nil
}

// checkRoom refuses to take bytes of a file system that has too few.
func checkRoom(directory string, bytes int64) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		return err
	}
	return roomFor(bytes, int64(stat.Bavail)*stat.Bsize, int64(stat.Blocks)*stat.Bsize)
}

func roomFor(bytes, available, total int64) error {
	if keep := total / 100 * keepPercent; available-bytes < keep {
		return fmt.Errorf("it needs %d bytes more, the file system has %d, and %d of them (%d %%) are kept free", bytes, available, keep, keepPercent)
	}
	return nil
}

// allocate extends a file durably. When it fails the file is what it was.
func allocate(file *os.File, from, to int64) error {
	for offset := from; offset < to; {
		length := min(allocateBytes, to-offset)
		err := unix.Fallocate(int(file.Fd()), 0, offset, length)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP):
			err = file.Truncate(to)
			length = to - offset
		}
		if err != nil {
			return errors.Join(err, file.Truncate(from))
		}
		offset += length
	}
	return file.Sync()
}
