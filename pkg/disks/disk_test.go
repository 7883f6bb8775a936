package disks

import (
	"strings"
	"testing"
)

func TestUnfit(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(d *Disk)
		want   string
	}{
		{"a disk", func(*Disk) {}, ""},
		{"an md array", func(d *Disk) { d.Name, d.Hardware = "md0", false }, ""},
		{"a file that is attached", func(d *Disk) { d.Name, d.Hardware, d.File = "loop0", false, "/var/lib/berth/a" }, ""},
		{"another loop device", func(d *Disk) { d.Name, d.Hardware = "loop0", false }, "loop device"},
		{"an LV", func(d *Disk) { d.Name, d.Hardware = "dm-0", false }, "device-mapper"},
		{"memory", func(d *Disk) { d.Name, d.Hardware = "zram0", false }, "made by software"},
		{"a partition", func(d *Disk) { d.PartitionOf = "sda" }, "partition of sda"},
		{"a path", func(d *Disk) { d.Hidden = true }, "one path"},
		{"a stick", func(d *Disk) { d.Removable = true }, "removable"},
		{"read-only", func(d *Disk) { d.ReadOnly = true }, "read-only"},
		{"zoned", func(d *Disk) { d.Zoned = true }, "zoned"},
		{"no medium", func(d *Disk) { d.SizeBytes = 0 }, "0 bytes"},
		{"partitioned", func(d *Disk) { d.Partitions = []string{"sda1", "sda2"} }, "partitions: sda1, sda2"},
		{"held", func(d *Disk) { d.Holders = []string{"dm-3"} }, "in use by dm-3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			disk := Disk{Name: "sda", Hardware: true, SizeBytes: LeastBytes}
			test.change(&disk)
			if got := disk.Unfit(); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
