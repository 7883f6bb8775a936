//go:build lab

package lvmoracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	// devicesVariable names empty disks, separated by commas. The first is overwritten.
	devicesVariable = "BERTH_LVM_DEVICES"
	name            = "vg-oracle"

	extent = 256 << 10
	// Each physical volume has so many extents, behind its first megabyte.
	extents         = 24
	physicalVolumes = 6
	deviceSectors   = (1<<20 + extents*extent) / 512
	// The slices leave the disk's beginning free, or LVM would find the first one's label on the disk, too.
	firstSector = 1 << 20 / 512
)

// group is the volume group, with what else the tests need to know of it.
type group struct {
	devices []string
	shell   *shell
}

// newGroup makes the volume group on slices of one disk, and takes all of it down after the test.
func newGroup(t *testing.T) *group {
	t.Helper()
	disk, _, _ := strings.Cut(os.Getenv(devicesVariable), ",")
	if disk == "" {
		t.Fatalf("%s is empty, want a device", devicesVariable)
	}
	g := &group{}
	for i := range physicalVolumes {
		slice := fmt.Sprintf("oracle%d", i)
		command(t, "dmsetup", "create", slice, "--table", fmt.Sprintf("0 %d linear %s %d", deviceSectors, disk, firstSector+i*deviceSectors))
		t.Cleanup(func() { command(t, "dmsetup", "remove", slice) })
		g.devices = append(g.devices, "/dev/mapper/"+slice)
	}
	command(t, "lvm", append([]string{"vgcreate", "--config", config, "--yes", "--physicalextentsize", "256k", "--vgmetadatacopies", "1", name}, g.devices...)...)
	t.Cleanup(func() {
		command(t, "lvm", "vgremove", "--config", config, "--force", "--force", "--yes", name)
		command(t, "lvm", append([]string{"pvremove", "--config", config, "--yes"}, g.devices...)...)
	})
	g.shell = newShell(t)
	_, r := g.run(t)
	for i, n := range r.counts() {
		if n != extents {
			t.Fatalf("%s has %d extents, want %d", g.devices[i], n, extents)
		}
	}
	return g
}

func command(t *testing.T, program string, arguments ...string) {
	t.Helper()
	command := exec.Command(program, arguments...)
	command.Env = environment()
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, output)
	}
}

// fill empties the volume group and takes extents here and there, so that runs of free ones are left. Some physical
// volumes are full, as if they were not there.
func (g *group) fill(t *testing.T, random *rand.Rand) report {
	t.Helper()
	var on []string
	taken := 0
	here := 1 + max(1+random.IntN(physicalVolumes-1), random.IntN(physicalVolumes))
	runs := 1 + random.IntN(8)
	for i, device := range g.devices {
		full := i >= here
		take := full || random.IntN(2) == 0
		ranges := device
		for at := 0; at < extents; {
			length := min(1+random.IntN(extents/runs), extents-at)
			if take {
				ranges += fmt.Sprintf(":%d-%d", at, at+length-1)
				taken += length
			}
			at += length
			take = full || !take
		}
		if ranges != device {
			on = append(on, ranges)
		}
	}
	commands := []string{fmt.Sprintf("lvremove --config '%s' --force --yes %s", config, name)}
	if taken > 0 {
		commands = append(commands, create("filler", fmt.Sprintf("--extents %d", taken), on))
	}
	output, r := g.run(t, commands...)
	if left := physicalVolumes*extents - taken; sum(r.counts()) != int64(left) {
		t.Fatalf("%d extents are free, want %d\n%s", sum(r.counts()), left, output)
	}
	return r
}

func sum(numbers []int64) (total int64) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// create is an lvcreate that activates nothing: only metadata is written, and RAID's metadata volumes are cleared.
func create(lv, what string, on []string) string {
	return fmt.Sprintf("lvcreate --config '%s' --yes --activate n --zero n --wipesignatures n %s --name %s %s %s",
		config, what, lv, name, strings.Join(on, " "))
}
