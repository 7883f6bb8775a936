package lab

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/layout"
)

// Down ends the cluster called name and removes its directory. A cluster that does not exist is no error.
func Down(name string) error {
	state, err := stateOf(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(state.Dir()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	unlock, err := lockState(state)
	if err != nil {
		return err
	}
	defer unlock()
	if err := remove(state); err != nil {
		return err
	}
	return os.Remove(state.Lock())
}

// Close ends the cluster and removes its directory.
func (c *Cluster) Close() error {
	if c.lifeline != nil {
		defer c.lifeline.Close()
	}
	return Down(c.config.Name)
}

// remove ends the supervisor, if it runs, and deletes the directory. The caller holds the lock.
func remove(state layout.State) error {
	if process, alive := supervisorOf(state); alive {
		if err := process.kill(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(state.Dir()); err != nil {
		return fmt.Errorf("remove the cluster's files: %w", err)
	}
	return nil
}

// lockState keeps two callers from making or removing the same cluster at a time. The error names the conflict.
func lockState(state layout.State) (unlock func(), err error) {
	for {
		file, err := os.OpenFile(state.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			file.Close()
			return nil, fmt.Errorf("another lab command is making or removing this cluster (%s is locked): wait for it to end", state.Lock())
		}
		if isAt(file, state.Lock()) {
			return func() { file.Close() }, nil
		}
		// Whoever held the lock has removed the file meanwhile: a lock on it is worth nothing.
		file.Close()
	}
}

// isAt reports whether the open file is the one at path.
func isAt(file *os.File, path string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

// Clusters returns the names of all clusters that have a directory, and whether each runs.
func Clusters() (map[string]bool, error) {
	root, err := layout.StateRoot()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	clusters := map[string]bool{}
	for _, entry := range entries {
		if entry.IsDir() {
			_, clusters[entry.Name()] = supervisorOf(layout.State(root + "/" + entry.Name()))
		}
	}
	return clusters, err
}
