// Package lvmcontract holds LVM itself to the contract of pkg/lvm: its tests, built with the tag lab, run inside a lab
// node and use up the disks that BERTH_LVM_DEVICES names.
package lvmcontract
