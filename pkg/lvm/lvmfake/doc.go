// Package lvmfake is an lvm.Manager in memory. It allocates extents per physical volume, raises the seqno as LVM
// does, keeps tags, and counts executions. Tests inject errors before or after an operation's effect, and change
// volume groups from outside.
package lvmfake
