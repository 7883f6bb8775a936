// Package disks is the door to the host's block devices, as far as volume groups are made of them: which there are, which
// of them are empty, and files as disks by way of loop devices. It writes to no disk; what it makes is a file of its own
// and the loop device on it.
//
// Host reads sysfs, which a container sees as the host does, and device nodes. A Disk is what sysfs says of one device;
// Unfit judges it without a look at its content, Host.Check with one.
//
// *Empty* is decided conservatively, because LVM takes what is called empty: whole, local hardware (or an md array),
// writable, not removable, without partitions and holders, not open exclusively by anybody (the kernel knows mounts,
// swap, arrays and LVs of all mount namespaces, a container's mount table only its own), no signature that blkid knows,
// and zero in its first and last 4 MiB.
package disks
