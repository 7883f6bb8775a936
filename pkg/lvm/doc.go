// Package lvm is Berth's domain: volume groups, logical volumes, device classes, and the arithmetic on their bytes.
// It starts no processes and knows no Kubernetes; the scheduler plugin and the driver meet in it.
//
// The nouns are LVM's. A volume group (VG) is made of physical volumes, which are divided into extents of one size;
// a logical volume (LV) takes whole extents. What LVM promises: a metadata change is atomic and raises the VG's
// seqno by one; a report is one consistent view of a VG. What it does not: to say why it refused other than in
// words, to keep a device node in step with the metadata, or to zero more than an LV's first blocks.
//
// All sizes are bytes in int64.
package lvm
