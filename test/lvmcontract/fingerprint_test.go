//go:build lab

package lvmcontract

import (
	"context"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/lvm/lvmcli"
)

// TestFingerprint changes the volume group in ways that leave its size as it is, and in one that does not.
func TestFingerprint(t *testing.T) {
	devices := newGroup(t, 2)
	last := fingerprint(t, devices[0])
	for _, change := range [][]string{
		{"lvcreate", "--yes", "--extents", "1", "--name", "a", group},
		{"lvchange", "--addtag", "x", group + "/a"},
		{"lvrename", group, "a", "b"},
		{"vgextend", group, devices[2]},
		{"pvchange", "--allocatable", "n", devices[1]},
		{"lvremove", "--yes", group + "/b"},
	} {
		lvm(t, change...)
		now := fingerprint(t, devices[0])
		if now == last {
			t.Errorf("%v left the fingerprint %s", change, now)
		}
		last = now
		lvm(t, "fullreport", group)
		if now := fingerprint(t, devices[0]); now != last {
			t.Errorf("a report changed the fingerprint from %s to %s", last, now)
		}
	}
	started := time.Now()
	for range 100 {
		fingerprint(t, devices[0])
	}
	t.Logf("a fingerprint takes %v", time.Since(started)/100)
}

func fingerprint(t *testing.T, device string) string {
	t.Helper()
	print, err := lvmcli.Fingerprint(device)
	if err != nil {
		t.Fatal(err)
	}
	if print == "" {
		t.Fatalf("%s has no metadata area", device)
	}
	return print
}

// TestMissingDevice looks at a volume group that lost a disk.
func TestMissingDevice(t *testing.T) {
	devices := newGroup(t, 2)
	manager := lvmcli.New(lvmcli.Options{
		Config: lvmcli.DefaultConfig + ` devices{filter=["r|^` + devices[1] + `$|"]}`,
	})
	report, err := manager.Report(context.Background(), []string{group})
	if err != nil {
		t.Fatal(err)
	}
	vg := report.VolumeGroups[group]
	if vg.MissingPhysicalVolumes != 1 || vg.Unusable() == "" || len(vg.PhysicalVolumes) != 2 ||
		!vg.PhysicalVolumes[1].Missing {
		t.Errorf("volume group %+v, want the second physical volume missing", vg)
	}
}
