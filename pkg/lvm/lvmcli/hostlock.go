package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/pkg/lvm"
)

// lockEvery is how often a lock that LVM holds is tried again.
const lockEvery = 20 * time.Millisecond

// lockBoth takes the volume group's lock here and LVM's own, for several commands that are to be one step for the whole
// host. They run with --nolocking.
// Errors: ErrBusy with the context's error, those of the lock's file.
func (m *Manager) lockBoth(ctx context.Context, vg string) (unlock func(), err error) {
	here, err := m.lock(ctx, vg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.options.ChangeTimeout)
	defer cancel()
	file, err := hostLock(ctx, m.options.LockDirectory, vg)
	if err != nil {
		here()
		return nil, err
	}
	return func() { file.Close(); here() }, nil
}

// hostLock takes the lock under which LVM changes a volume group: an flock of V_<name> in global/locking_dir, by whoever
// has the file that the name leads to, because LVM unlinks it when it is done (lvm2, lib/locking/file_locking.c and
// lib/misc/lvm-flock.c). Closing the file gives it back.
func hostLock(ctx context.Context, directory, vg string) (*os.File, error) {
	name := filepath.Join(directory, "V_"+vg)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	for {
		file, err := tryLock(name)
		if file != nil || err != nil {
			return file, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("LVM's lock %s: %w (%w)", name, lvm.ErrBusy, ctx.Err())
		case <-time.After(lockEvery):
		}
	}
}

// tryLock returns nil without an error while another process has the lock.
func tryLock(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	ours, err := file.Stat()
	if err == nil {
		var named os.FileInfo
		if named, err = os.Stat(name); err == nil && os.SameFile(ours, named) {
			return file, nil
		}
	}
	file.Close()
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}
