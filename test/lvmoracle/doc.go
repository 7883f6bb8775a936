// Package lvmoracle compares the arithmetic of pkg/lvm with LVM itself: in a volume group whose physical volumes are
// filled and fragmented at random, what fits is made by lvcreate on the physical volumes that Place chose, and what does
// not fit is refused by lvcreate, free to choose among all of them. Its tests, built with the tag lab, run inside a lab
// node and use up the first of the disks that BERTH_LVM_DEVICES names.
package lvmoracle
