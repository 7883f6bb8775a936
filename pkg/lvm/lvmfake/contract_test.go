package lvmfake_test

import (
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
	"github.com/berth-dev/berth/pkg/lvm/lvmtest"
)

const (
	group   = "vg-fake"
	pvBytes = 64 * lvmfake.DefaultExtentSizeBytes
)

func TestContract(t *testing.T) {
	lvmtest.Run(t, func(t *testing.T, physicalVolumes int) *lvmtest.Environment {
		fake := lvmfake.New(t.TempDir())
		fake.AddVolumeGroup(group, slices.Repeat([]int64{pvBytes}, physicalVolumes)...)
		return &lvmtest.Environment{
			Manager:     fake,
			VolumeGroup: group,
			MakeLogicalVolume: func(t *testing.T, name string, tags ...string) {
				if err := fake.AddLogicalVolume(group, name, lvmfake.DefaultExtentSizeBytes, tags...); err != nil {
					t.Fatal(err)
				}
			},
			Hold: func(t *testing.T, name string) func() {
				fake.SetOpen(group, name, true)
				return func() { fake.SetOpen(group, name, false) }
			},
			Deactivate: func(t *testing.T, name string) { fake.SetActive(group, name, false) },
			Close: func(t *testing.T, physicalVolume string) {
				fake.Change(group, func(vg *lvm.VolumeGroup) {
					for i := range vg.PhysicalVolumes {
						if vg.PhysicalVolumes[i].Name == physicalVolume {
							vg.PhysicalVolumes[i].Allocatable = false
						}
					}
				})
			},
			Disk: func(*testing.T) string {
				fake.AddDisk("/dev/disk", pvBytes)
				return "/dev/disk"
			},
			RemoveVolumeGroup: func(_ *testing.T, name string) { fake.RemoveVolumeGroup(name) },
			Grow: func(t *testing.T) {
				fake.Change(group, func(vg *lvm.VolumeGroup) {
					vg.PhysicalVolumes = append(vg.PhysicalVolumes, lvm.PhysicalVolume{
						Name: "/dev/" + group + "-2", UUID: "grown", SizeBytes: pvBytes, FreeBytes: pvBytes, Allocatable: true,
					})
				})
			},
		}
	})
}
