//go:build lab

package lvmcontract

import (
	"context"
	"os/exec"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm/dm"
)

// TestResumeOurs suspends a device as a command that died half-way leaves it, with a table loaded that must not come
// into force.
func TestResumeOurs(t *testing.T) {
	newGroup(t, 2)
	lvm(t, "lvcreate", "--yes", "--extents", "2", "--name", "a-b", group)
	lvm(t, "lvcreate", "--yes", "--extents", "2", "--name", "other", group)
	ours, other := dm.Name(group, "a-b"), dm.Name(group, "other")
	table := dmsetup(t, "table", ours)
	dmsetup(t, "load", ours, "--table", "0 8 error")
	dmsetup(t, "suspend", ours)
	dmsetup(t, "suspend", other)
	if d := device(t, ours); !d.Suspended || !d.Live || !d.Inactive {
		t.Errorf("device %+v, want it suspended with both tables", d)
	}

	resumed, err := dm.ResumeOurs(context.Background(), []string{ours})
	if err != nil || !slices.Equal(resumed, []string{ours}) {
		t.Errorf("resumed %v (%v), want %s", resumed, err, ours)
	}
	if d := device(t, ours); d.Suspended || !d.Live || d.Inactive {
		t.Errorf("device %+v, want it running by its live table", d)
	}
	if now := dmsetup(t, "table", ours); now != table {
		t.Errorf("table %q, want %q", now, table)
	}
	if d := device(t, other); !d.Suspended {
		t.Errorf("device %+v was resumed and is not ours", d)
	}
	dmsetup(t, "resume", other)
}

func device(t *testing.T, name string) dm.Device {
	t.Helper()
	devices, err := dm.Devices(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(devices, func(d dm.Device) bool { return d.Name == name })
	if i < 0 {
		t.Fatalf("no device %s among %+v", name, devices)
	}
	return devices[i]
}

func dmsetup(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := exec.Command("dmsetup", append(arguments, "--noudevsync")...).CombinedOutput()
	if err != nil {
		t.Fatalf("dmsetup %v: %v\n%s", arguments, err, output)
	}
	return string(output)
}
