package disks

import (
	"fmt"
	"strings"
)

// Disk is a block device as sysfs described it.
type Disk struct {
	// Name is the kernel's: sdb, nvme0n1. Path is its device node, whatever other names lead there.
	Name, Path string
	// Number is major:minor.
	Number    string
	SizeBytes int64
	// Hardware is true when a driver of hardware stands behind it.
	Hardware bool
	// File is the file that is a loop device's content, for one that Attach returned.
	File string
	// PartitionOf is the whole disk of a partition.
	PartitionOf string
	// Hidden is true of a path of a multipath NVMe disk.
	Hidden, ReadOnly, Removable, Zoned bool
	Partitions                         []string
	// Holders are the devices that are made of it.
	Holders []string
	// WWID is the disk's own, worldwide; empty where it tells none. Two disks of one WWID are paths to the same.
	WWID string
}

// LeastBytes is the least that a disk has for a volume group: large metadata and some extents.
const LeastBytes = 64 << 20

// Unfit says why the disk cannot be taken, whatever is on it; empty if it can.
func (d Disk) Unfit() string {
	switch {
	case d.PartitionOf != "":
		return fmt.Sprintf("it is a partition of %s; whole disks are taken only", d.PartitionOf)
	case !d.Hardware && d.File == "" && !strings.HasPrefix(d.Name, "md"):
		return d.software()
	case d.Hidden:
		return "it is one path to a multipath disk"
	case d.Removable:
		return "it is removable: a volume group on it goes with whoever pulls it"
	case d.ReadOnly:
		return "it is read-only"
	case d.Zoned:
		return "it is zoned and takes no writes at random"
	case d.SizeBytes < LeastBytes:
		return fmt.Sprintf("it has %d bytes, %d are the least", d.SizeBytes, LeastBytes)
	case len(d.Partitions) > 0:
		return "it has partitions: " + strings.Join(d.Partitions, ", ")
	case len(d.Holders) > 0:
		return "it is in use by " + strings.Join(d.Holders, ", ")
	}
	return ""
}

// software says what a device is that is not hardware.
func (d Disk) software() string {
	switch {
	case strings.HasPrefix(d.Name, "dm-"):
		return "it is a device-mapper device: a logical volume, an encrypted or a multipath disk"
	case strings.HasPrefix(d.Name, "loop"):
		return "it is a loop device; a file is given as loopFile"
	}
	return "it is not a disk but made by software"
}
