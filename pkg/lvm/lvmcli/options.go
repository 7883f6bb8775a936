package lvmcli

import (
	"cmp"
	"time"
)

// Options are what a Manager needs to know of its host. The zero value is ready to use.
type Options struct {
	// Binary is the lvm command; "lvm" from the PATH if empty.
	Binary string
	// Config overrides lvm.conf, in the form of --config; DefaultConfig if empty. It must not contain a single
	// quote.
	Config string
	// ReportTimeout ends a report, ChangeTimeout the wait for a changing command, where the context does not do
	// so earlier; 30 seconds and one minute if zero.
	ReportTimeout, ChangeTimeout time.Duration
	// LockDirectory is LVM's global/locking_dir; DefaultLockDirectory if empty.
	LockDirectory string
	// BackupDirectory is LVM's backup/backup_dir; DefaultBackupDirectory if empty.
	BackupDirectory string
	// Observe learns of every execution; nil is allowed.
	Observe Observer
}

// Observer learns of one execution of LVM: its command, its exit code ("0", "5", "killed", "hung") and its duration.
// A command that passed its deadline is observed once, as hung.
type Observer func(command, code string, duration time.Duration)

// DefaultConfig suits a container with the host's /dev. There is no udev in it, so LVM must neither wait for udev
// (the semaphores it waits on are the host's) nor leave the device nodes to it. Hints, which LVM keeps in
// /run/lvm, save a scan that --devices saves already, and a stale one hides a new physical volume.
// Backups in /etc/lvm stay on: they are what an operator's vgcfgrestore needs.
//
// There is no dmeventd either, and pools and snapshots grow by Berth's own rules: without monitoring LVM neither starts one
// nor takes a device from the host's. With a threshold below 100 LVM would refuse volumes in a pool filled past it.
const DefaultConfig = `activation{udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0` +
	` thin_pool_autoextend_threshold=100 snapshot_autoextend_threshold=100}` +
	` devices{obtain_device_list_from_udev=0 hints="none"} global{notify_dbus=0}`

// DefaultLockDirectory is where LVM keeps its own locks, the host's and a container's that shares it.
const DefaultLockDirectory = "/run/lock/lvm"

// DefaultBackupDirectory is where LVM keeps the metadata of each volume group that it changed last, until vgremove.
const DefaultBackupDirectory = "/etc/lvm/backup"

func (o Options) withDefaults() Options {
	o.Binary = cmp.Or(o.Binary, "lvm")
	o.Config = cmp.Or(o.Config, DefaultConfig)
	o.ReportTimeout = cmp.Or(o.ReportTimeout, 30*time.Second)
	o.ChangeTimeout = cmp.Or(o.ChangeTimeout, time.Minute)
	o.LockDirectory = cmp.Or(o.LockDirectory, DefaultLockDirectory)
	o.BackupDirectory = cmp.Or(o.BackupDirectory, DefaultBackupDirectory)
	if o.Observe == nil {
		o.Observe = func(string, string, time.Duration) {}
	}
	return o
}
