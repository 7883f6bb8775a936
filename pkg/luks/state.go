package luks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/pkg/lvm"
)

// uuidPrefix starts the device-mapper uuid of what cryptsetup opens.
const uuidPrefix = "CRYPT-LUKS2-"

// State implements Crypt.
func (c *Cryptsetup) State(name, device string) (State, error) {
	directory, err := c.opened(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Closed, nil
	}
	if err != nil {
		return Closed, err
	}
	below, ok, err := c.below(directory)
	if err != nil || !ok {
		return OpenElsewhere, err
	}
	own, err := read(filepath.Join(below, "dev"))
	if err != nil {
		return OpenElsewhere, err
	}
	if number, err := c.number(device); err != nil || own != number {
		// A device that is not there is not the one below.
		return OpenElsewhere, nil
	}
	return Open, nil
}

// Grown implements Crypt. Headers are as large as cryptsetup makes them.
func (c *Cryptsetup) Grown(name string) (bool, error) {
	directory, err := c.opened(name)
	if err != nil {
		return false, err
	}
	below, ok, err := c.below(directory)
	if err != nil || !ok {
		return false, err
	}
	inside, err := size(directory)
	if err != nil {
		return false, err
	}
	outside, err := size(below)
	return err == nil && inside+lvm.LUKSHeaderBytes < outside, err
}

// opened is where the kernel tells of an open device.
// Errors: fs.ErrNotExist when there is none of that name; any when it is not one of cryptsetup's.
func (c *Cryptsetup) opened(name string) (directory string, err error) {
	number, err := c.number(Path(name))
	if err != nil {
		return "", err
	}
	directory = filepath.Join(c.sys, "dev", "block", number)
	uuid, err := read(filepath.Join(directory, "dm", "uuid"))
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(uuid, uuidPrefix) {
		return "", fmt.Errorf("device %s with uuid %q was not opened by cryptsetup", name, uuid)
	}
	return directory, nil
}

// below is where the kernel tells of the device under an open one. There is none when it was lost, or when the opening
// was cut off.
func (c *Cryptsetup) below(directory string) (below string, ok bool, err error) {
	slaves, err := os.ReadDir(filepath.Join(directory, "slaves"))
	if err != nil || len(slaves) != 1 {
		return "", false, err
	}
	return filepath.Join(directory, "slaves", slaves[0].Name()), true, nil
}

// size is a device's size in bytes; the kernel counts in 512 bytes, whatever the device's sectors are.
func size(directory string) (int64, error) {
	text, err := read(filepath.Join(directory, "size"))
	if err != nil {
		return 0, err
	}
	sectors, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", directory, err)
	}
	return sectors * 512, nil
}

func read(path string) (string, error) {
	content, err := os.ReadFile(path)
	return strings.TrimSpace(string(content)), err
}

// deviceNumber is a block device's number as the kernel writes it, major:minor.
func deviceNumber(path string) (string, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return "", &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", fmt.Errorf("%s is not a block device", path)
	}
	return fmt.Sprintf("%d:%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev)), nil
}
