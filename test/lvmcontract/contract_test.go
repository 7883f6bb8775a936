//go:build lab

package lvmcontract

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm/lvmcli"
	"github.com/berth-dev/berth/pkg/lvm/lvmtest"
)

// devicesVariable names six empty disks, the first two of equal size, separated by commas. They are overwritten.
const devicesVariable = "BERTH_LVM_DEVICES"

const group = "vg-contract"

func TestContract(t *testing.T) {
	lvmtest.Run(t, func(t *testing.T, physicalVolumes int) *lvmtest.Environment {
		manager := lvmcli.New(lvmcli.Options{})
		devices := newGroup(t, physicalVolumes)
		return &lvmtest.Environment{
			Manager:     manager,
			VolumeGroup: group,
			MakeLogicalVolume: func(t *testing.T, name string, tags ...string) {
				arguments := []string{"lvcreate", "--yes", "--extents", "1", "--name", name, group}
				for _, tag := range tags {
					arguments = append(arguments, "--addtag", tag)
				}
				lvm(t, arguments...)
			},
			Hold: func(t *testing.T, name string) func() {
				device, err := os.Open(manager.DevicePath(group, name))
				if err != nil {
					t.Fatal(err)
				}
				return func() { device.Close() }
			},
			Deactivate: func(t *testing.T, name string) { lvm(t, "lvchange", "--activate", "n", group+"/"+name) },
			Close:      func(t *testing.T, device string) { lvm(t, "pvchange", "--allocatable", "n", device) },
			Grow:       func(t *testing.T) { lvm(t, "vgextend", group, devices[2]) },
			Disk: func(t *testing.T) string {
				lvm(t, "pvremove", "--yes", devices[2])
				return devices[2]
			},
			RemoveVolumeGroup: func(t *testing.T, name string) { lvm(t, "vgremove", "--yes", name) },
		}
	})
}

// spareDisks are the devices given to the tests.
func spareDisks(t *testing.T) []string {
	t.Helper()
	devices := strings.Split(os.Getenv(devicesVariable), ",")
	if len(devices) != 6 {
		t.Fatalf("%s is %q, want six devices", devicesVariable, os.Getenv(devicesVariable))
	}
	return devices
}

// newGroup makes the volume group on the first disks and takes it down with all in it after the test.
func newGroup(t *testing.T, physicalVolumes int) []string {
	t.Helper()
	devices := spareDisks(t)
	lvm(t, append([]string{"pvcreate", "--yes"}, devices...)...)
	lvm(t, append([]string{"vgcreate", "--yes", group}, devices[:physicalVolumes]...)...)
	t.Cleanup(func() {
		lvm(t, "vgremove", "--force", "--force", "--yes", group)
		lvm(t, append([]string{"pvremove", "--yes"}, devices...)...)
	})
	return devices
}

func lvm(t *testing.T, arguments ...string) {
	t.Helper()
	if output, err := exec.Command("lvm", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("lvm %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}
