// Package lvmcli is the lvm.Manager that runs LVM. It is the only package that does.
//
// A report is read as text of name='value' pairs, not as JSON: Finish feeds one LVM shell two commands, and the
// shell fixes its report format when it starts, where no option reaches it. One format serves all reports.
//
// Commands that change something are never killed: an lvcreate killed half-way can leave a device suspended and
// whoever uses it frozen. Their input and output are memory files rather than pipes, so that not even the death
// of this process stops them with a broken pipe.
//
// Once a volume group's devices are known, --devices keeps later commands from scanning every disk of the host.
// With it goes a danger: LVM takes a physical volume outside the list for missing, and lvchange and lvremove would
// write that down. They therefore select on vg_missing_pv_count=0, which LVM evaluates under its own lock, and
// run again with a full scan when nothing was selected. lvcreate and lvextend refuse by themselves.
//
// Where several commands must be one step for the whole host (Absorb), LVM's own lock is held here and they run with
// --nolocking.
package lvmcli
