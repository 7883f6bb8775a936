// Package dm speaks to the kernel's device-mapper by the ioctls of /dev/mapper/control: which devices are there,
// which of them are suspended, and how to resume them; how full thin pools and snapshots are, and how RAID legs fare. It
// starts no process and never loads a table.
//
// Names and uuids follow LVM's scheme (lvm2, lib/activate/dev_manager.c): the device of LV "data" of VG "vg-ssd" is
// named "vg--ssd-data", and its uuid is "LVM-", the VG's uuid and the LV's uuid without their hyphens, and for
// layers of an LV a suffix.
package dm
