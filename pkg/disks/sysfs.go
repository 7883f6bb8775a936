package disks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sector is what sysfs counts sizes in, whatever the device's own sectors are.
const sector = 512

// read describes a device.
// Errors: fs.ErrNotExist when it is gone.
func (h *Host) read(name string) (Disk, error) {
	a := attributes{directory: h.block(name)}
	disk := Disk{
		Name:       name,
		Path:       h.path(name),
		Number:     a.text("dev"),
		SizeBytes:  a.number("size") * sector,
		Hardware:   a.has("device"),
		ReadOnly:   a.number("ro") != 0,
		Partitions: a.partitions(),
	}
	if a.has("partition") {
		disk.PartitionOf = a.parent()
		return disk, a.failed(name)
	}
	disk.Removable = a.number("removable") != 0
	disk.Hidden = a.optional("hidden") == "1"
	zoned := a.optional("queue/zoned")
	disk.Zoned = zoned != "" && zoned != "none"
	disk.Holders = a.list("holders")
	if disk.WWID = a.optional("wwid"); disk.WWID == "" {
		disk.WWID = a.optional("device/wwid")
	}
	return disk, a.failed(name)
}

// twin finds another whole disk with the same WWID.
func (h *Host) twin(disk Disk) (string, error) {
	if disk.WWID == "" {
		return "", nil
	}
	entries, err := os.ReadDir(h.block(""))
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if entry.Name() == disk.Name {
			continue
		}
		other, err := h.read(entry.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if other.WWID == disk.WWID && !other.Hidden {
			return other.Name, nil
		}
	}
	return "", nil
}

// attributes are the files of one device in sysfs. The first that cannot be read leaves err set.
type attributes struct {
	directory string
	err       error
}

func (a *attributes) failed(name string) error {
	if a.err != nil {
		return fmt.Errorf("block device %s: %w", name, a.err)
	}
	return nil
}

func (a *attributes) note(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *attributes) has(file string) bool {
	_, err := os.Stat(filepath.Join(a.directory, file))
	return err == nil
}

func (a *attributes) text(file string) string {
	content, err := os.ReadFile(filepath.Join(a.directory, file))
	if err != nil {
		a.note(err)
	}
	return strings.TrimSpace(string(content))
}

// optional is empty for a file that not every device has, or that the device refuses to be asked for.
func (a *attributes) optional(file string) string {
	content, err := os.ReadFile(filepath.Join(a.directory, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

func (a *attributes) number(file string) int64 {
	text := a.text(file)
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		a.note(fmt.Errorf("%s is %q: %w", file, text, err))
	}
	return value
}

func (a *attributes) list(directory string) []string {
	entries, err := os.ReadDir(filepath.Join(a.directory, directory))
	if err != nil {
		a.note(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// partitions are the directories below a disk's that are partitions.
func (a *attributes) partitions() []string {
	var partitions []string
	for _, name := range a.list("") {
		if a.has(filepath.Join(name, "partition")) {
			partitions = append(partitions, name)
		}
	}
	return partitions
}

// parent is the disk of a partition, whose directory lies in the disk's.
func (a *attributes) parent() string {
	path, err := filepath.EvalSymlinks(a.directory)
	if err != nil {
		a.note(err)
	}
	return filepath.Base(filepath.Dir(path))
}
