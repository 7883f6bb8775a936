package nodeos

import (
	"os"
	"path/filepath"
)

// lvmLocal overrides the distribution's lvm.conf. The node has no udev, and its disks are of a driver that LVM does
// not know by itself.
const lvmLocal = `devices {
	types = [ "ubd", 16 ]
	obtain_device_list_from_udev = 0
	use_devicesfile = 0
}
activation {
	udev_sync = 0
	udev_rules = 0
	verify_udev_operations = 0
	monitoring = 0
}
`

// setUpVolumeGroups makes the groups at the first start; later starts find them on the disks.
func (n *node) setUpVolumeGroups() error {
	const done = stateMount + "/volume-groups-made"
	if _, err := os.Stat(done); err == nil {
		return run("vgchange", "--quiet", "--activate", "y", "--sysinit")
	}
	if err := writeLVMConfig(); err != nil {
		return err
	}
	var names []string
	devices := map[string][]string{}
	for _, disk := range n.boot.Disks {
		if disk.VolumeGroup == "" {
			continue
		}
		if devices[disk.VolumeGroup] == nil {
			names = append(names, disk.VolumeGroup)
		}
		devices[disk.VolumeGroup] = append(devices[disk.VolumeGroup], disk.Device)
	}
	for _, name := range names {
		// A power cut in the middle of the first start leaves some groups made.
		if run("vgs", "--quiet", name) == nil {
			continue
		}
		if err := run("vgcreate", append([]string{"--quiet", "--yes", name}, devices[name]...)...); err != nil {
			return err
		}
	}
	return os.WriteFile(done, nil, 0o644)
}

// writeLVMConfig fills /etc/lvm, which is bound from the node's disk and starts empty, from a plain lvm.conf:
// the host's own settings (filters, devices file, system ID) are not the node's.
func writeLVMConfig() error {
	for _, dir := range []string{"archive", "backup", "cache", "profile"} {
		if err := os.MkdirAll(filepath.Join("/etc/lvm", dir), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile("/etc/lvm/lvm.conf", []byte("config {\n}\n"), 0o644); err != nil {
		return err
	}
	return os.WriteFile("/etc/lvm/lvmlocal.conf", []byte(lvmLocal), 0o644)
}
