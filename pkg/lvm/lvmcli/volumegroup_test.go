package lvmcli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// TestVolumeGroupCommands: none answers LVM's questions, and none hides devices from LVM.
func TestVolumeGroupCommands(t *testing.T) {
	s := newScript(t, Options{BackupDirectory: t.TempDir()}, "")
	ctx := context.Background()
	for _, err := range []error{
		s.manager.CreateVolumeGroup(ctx, "vg0", []string{"/dev/a", "/dev/b"}),
		s.manager.ExtendVolumeGroup(ctx, "vg0", []string{"/dev/c"}),
		s.manager.ResizePhysicalVolume(ctx, "vg0", "/dev/a"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"vgcreate --metadatasize 16m --addtag berth.dev vg0 /dev/a /dev/b",
		"vgextend --metadatasize 16m vg0 /dev/c",
		"pvresize /dev/a",
	}
	if got := s.commands(t); !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
	for _, device := range []string{"", "-ff", "@tag", "sda"} {
		if err := s.manager.ExtendVolumeGroup(ctx, "vg0", []string{device}); !errors.Is(err, lvm.ErrNotFound) {
			t.Errorf("device %q: %v, want not found", device, err)
		}
	}
	if err := s.manager.CreateVolumeGroup(ctx, "vg1", nil); !errors.Is(err, lvm.ErrNotFound) {
		t.Errorf("no devices: %v, want not found", err)
	}
}

func TestVolumeGroupRefusals(t *testing.T) {
	for _, c := range []struct {
		name, stderr string
		want         error
	}{
		{"name taken", "  A volume group called vg0 already exists.", lvm.ErrExists},
		{"mounted", "  Can't open /dev/a exclusively.  Mounted filesystem?\n  Can't open /dev/a exclusively.  Mounted filesystem?", lvm.ErrInUse},
		{"a signature", "  Aborted wiping of ext4.\n  1 existing signature left on the device.\n  Failed to wipe signatures on /dev/a.", lvm.ErrInUse},
		{"another group's", "  Physical volume '/dev/a' is already in volume group 'other'\n  Unable to add physical volume '/dev/a' to volume group 'vg0'", lvm.ErrInUse},
		{"partitioned", "  Cannot use /dev/a: device is partitioned", lvm.ErrInUse},
		{"no device", "  No device found for /dev/a.", lvm.ErrNotFound},
		{"no group", "  Volume group \"vg0\" not found", lvm.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, Options{BackupDirectory: t.TempDir()}, "cat $here/words >&2; exit 5")
			s.write(t, "words", c.stderr+"\n")
			err := s.manager.CreateVolumeGroup(context.Background(), "vg0", []string{"/dev/a"})
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

// TestVolumeGroupThatWasHere is not made again while its disks may come back.
func TestVolumeGroupThatWasHere(t *testing.T) {
	backups := t.TempDir()
	backup := filepath.Join(backups, "vg0")
	if err := os.WriteFile(backup, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	manager := New(Options{Binary: "/no/such/lvm", BackupDirectory: backups})
	err := manager.CreateVolumeGroup(context.Background(), "vg0", []string{"/dev/a"})
	if !errors.Is(err, lvm.ErrExists) || !strings.Contains(err.Error(), backup) {
		t.Errorf("error %v, want one that names the backup", err)
	}
}

func TestAdoptReadsTheTruth(t *testing.T) {
	for _, c := range []struct {
		name, tags string
		want       error
	}{
		{name: "adopted", tags: "berth.dev,berth.dev/ready"},
		{name: "not given away", tags: "berth.dev/adopted", want: lvm.ErrForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, Options{}, `cat >$here/input; cat $here/full`)
			s.write(t, "full", rows("", c.tags))
			_, err := s.manager.Adopt(context.Background(), "vg0", "pvc-1", "berth.dev/fs=xfs")
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			input, err := os.ReadFile(filepath.Join(s.directory, "input"))
			if err != nil {
				t.Fatal(err)
			}
			want := "--yes --select lv_tags=berth.dev/adopt --addtag berth.dev --addtag berth.dev/ready --addtag berth.dev/fs=xfs --deltag berth.dev/adopt vg0/pvc-1\n"
			if !strings.Contains(string(input), want) {
				t.Errorf("input %q lacks %q", input, want)
			}
		})
	}
}
