package disks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// attachAttempts is how often another process may take the free loop device before we do.
const attachAttempts = 16

// Attach makes a file of at least sizeBytes the content of a loop device, and returns the device. A file that is there is
// extended and never cut, one that is attached already stays where it is; so it may be called at any time, and after
// a reboot has to be. The device stays until somebody detaches it or the host stops.
func (h *Host) Attach(path string, sizeBytes int64) (Disk, error) {
	file, err := growFile(path, sizeBytes)
	if err != nil {
		return Disk{}, err
	}
	defer file.Close()
	name, err := h.attached(file)
	if err == nil && name == "" {
		name, err = h.attach(file)
	}
	if err == nil {
		err = h.refresh(name, file)
	}
	if err != nil {
		return Disk{}, fmt.Errorf("loop device of %s: %w", path, err)
	}
	disk, err := h.read(name)
	disk.File = path
	return disk, err
}

// attached finds the loop device of a file, or none. A file is told by its inode: its path looks different from each
// mount namespace.
func (h *Host) attached(file *os.File) (name string, err error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return "", err
	}
	// Only a device with a file has this one.
	backings, err := filepath.Glob(h.block("loop*") + "/loop/backing_file")
	if err != nil {
		return "", err
	}
	for _, backing := range backings {
		path, err := os.ReadFile(backing)
		if err != nil || filepath.Base(strings.TrimSpace(string(path))) != filepath.Base(file.Name()) {
			continue
		}
		name := filepath.Base(filepath.Dir(filepath.Dir(backing)))
		info, err := h.status(name)
		if errors.Is(err, unix.ENXIO) { // detached meanwhile
			continue
		}
		if err != nil {
			return "", err
		}
		if info.Device == stat.Dev && info.Inode == stat.Ino && info.Offset == 0 && info.Sizelimit == 0 {
			return name, nil
		}
	}
	return "", nil
}

func (h *Host) status(name string) (*unix.LoopInfo64, error) {
	device, err := os.Open(h.path(name))
	if err != nil {
		return nil, err
	}
	defer device.Close()
	return unix.IoctlLoopGetStatus64(int(device.Fd()))
}

// attach takes a free loop device.
func (h *Host) attach(file *os.File) (name string, err error) {
	control, err := os.OpenFile(h.path("loop-control"), os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("the kernel has no loop devices: %w", err)
	}
	defer control.Close()
	for range attachAttempts {
		number, freeErr := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if freeErr != nil {
			return "", fmt.Errorf("find a free loop device: %w", freeErr)
		}
		name = fmt.Sprintf("loop%d", number)
		if err = h.configure(name, file); !errors.Is(err, unix.EBUSY) {
			return name, err
		}
	}
	return "", err
}

func (h *Host) configure(name string, file *os.File) error {
	device, err := os.OpenFile(h.path(name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer device.Close()
	// Directly, so that the file's bytes are not kept twice in memory; the kernel does without where the file system
	// cannot. Not with autoclear: the device stays when nobody has it open.
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_DIRECT_IO}}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], file.Name())
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return fmt.Errorf("configure %s: %w", name, err)
	}
	return nil
}

// refresh makes the device as large as its file has become.
func (h *Host) refresh(name string, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	disk, err := h.read(name)
	if err != nil || disk.SizeBytes >= info.Size()/sector*sector {
		return err
	}
	device, err := os.Open(h.path(name))
	if err != nil {
		return err
	}
	defer device.Close()
	if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("capacity of %s: %w", name, err)
	}
	return nil
}
