// Package agent is the node's side of Berth, but for the CSI calls: it makes what LogicalVolume objects order out
// of LVM, publishes what LVM has as the node's NodeStorage, renews the node's Lease, and registers the driver with
// the kubelet.
//
// Agent ties the parts together. configSource reads the device classes from a file; groups holds what is known of
// the volume groups and runs reports; supply puts empty disks and files into them; publisher writes the NodeStorage;
// volumes reconciles LogicalVolume objects; Stageable and Unstaged serve the CSI Node service.
//
// Two rules run through it. An object's absence orders nothing: only spec.state Absent removes an LV. And an LV that
// carries the ready tag is never created or formatted again, whatever its object says.
//
// The agent trusts its cache of objects only for what a later write with resourceVersion, or LVM itself, verifies.
package agent
