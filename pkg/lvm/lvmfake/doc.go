// Package lvmfake is an lvm.Manager in memory. It allocates extents per physical volume, raises the seqno as LVM
// does, keeps tags, and counts executions; legs lie apart, thin volumes take bytes of their pool, snapshots are copies of
// their origin's file, and what the kernel would tell of pools, snapshots and legs is told by the same methods as pkg/lvm/dm
// has (ThinPoolStatus, SnapshotStatus, RAIDStatus). Tests inject errors before or after an operation's effect, and change
// volume groups from outside.
package lvmfake
