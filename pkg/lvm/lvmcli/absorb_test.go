package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

const mib = 1 << 20

// volume is a row of an LV of 4 MiB extents.
func volume(name, uuid string, extents int, tags string, open int) string {
	return fmt.Sprintf("LVM2_LV_NAME='%s' LVM2_LV_UUID='%s' LVM2_LV_SIZE='%d' LVM2_LV_TAGS='%s' LVM2_LV_ACTIVE_LOCALLY='1' "+
		"LVM2_LV_DEVICE_OPEN='%d' %s\n", name, uuid, extents*4*mib, tags, open, linearRest)
}

// newAbsorb stands in for LVM with what it says before and after a volume of 1 extent absorbs a donor of 5.
func newAbsorb(t *testing.T, before, after, words string) *script {
	s := newScript(t, Options{LockDirectory: t.TempDir()},
		`if [ $# -gt 0 ]; then cat $here/before; else cat >$here/input; cat $here/after; cat $here/words >&2; fi`)
	s.write(t, "before", before)
	s.write(t, "after", after)
	s.write(t, "words", "  "+words+"\n")
	return s
}

const donorRanges = "LVM2_SEG_PE_RANGES='/dev/a:3-5'\nLVM2_SEG_PE_RANGES='/dev/b:0-0 /dev/b:9-9'\n"

var (
	volumeBefore = volume("pvc-1", "u1", 1, lvm.TagOwned, 1)
	volumeAfter  = volume("pvc-1", "u1", 6, lvm.TagOwned, 1)
	donor        = volume("pvc-1-grow", "u2", 5, "berth.dev,berth.dev/grow", 0)
	donorOpen    = volume("pvc-1-grow", "u2", 5, "berth.dev,berth.dev/grow", 1)
	absorption   = lvm.AbsorbRequest{VolumeGroup: "vg0", Name: "pvc-1", Donor: "pvc-1-grow", DonorUUID: "u2"}
)

func TestAbsorb(t *testing.T) {
	s := newAbsorb(t, rows("/dev/b")+volumeBefore+donor+donorRanges, rows("/dev/b")+volumeAfter, "")
	report, err := s.manager.Absorb(context.Background(), absorption)
	if err != nil {
		t.Fatal(err)
	}
	vg := report.VolumeGroups["vg0"]
	if lv, ok := vg.LogicalVolume("pvc-1"); !ok || lv.SizeBytes != 24*mib {
		t.Errorf("volume %+v, want 6 extents", lv)
	}
	input, err := os.ReadFile(filepath.Join(s.directory, "input"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(input)), "\n")
	common := " --config '" + DefaultConfig + " devices/issue_discards=0' --nolocking "
	want := []string{
		"lvremove" + common + "--yes --select lv_tags=berth.dev&&lv_uuid=u2" + selectAlone + " vg0/pvc-1-grow",
		"lvextend" + common + "--yes --extents +5 vg0/pvc-1 /dev/a:3-5 /dev/b:0-0 /dev/b:9-9",
	}
	if len(lines) != 3 || !slices.Equal(lines[:2], want) || !strings.HasPrefix(lines[2], "fullreport"+common) {
		t.Errorf("lines %q, want %q and a report", lines, want)
	}
	if look := s.commands(t)[0]; !strings.Contains(look, "--nolocking") || !strings.HasSuffix(look, "-o seg_pe_ranges -S lv_name=pvc-1-grow vg0") {
		t.Errorf("looked with %s", look)
	}
}

func TestAbsorbRefuses(t *testing.T) {
	good := rows("/dev/b") + volumeBefore + donor + donorRanges
	for _, c := range []struct {
		name, before, after, words string
		want                       error
		// changes: the shell was started.
		changes bool
	}{
		{name: "no volume group"},
		{name: "no donor", before: rows("/dev/b") + volumeBefore, want: lvm.ErrNotFound},
		{name: "another donor", before: strings.Replace(good, "'u2'", "'u3'", 1), want: lvm.ErrNotFound},
		{name: "a donor not ours", before: strings.Replace(good, "berth.dev,", "", 1), want: lvm.ErrForeign},
		{name: "a donor in use", before: rows("/dev/b") + volumeBefore + donorOpen + donorRanges, want: lvm.ErrInUse},
		{name: "a lost disk", before: rows("[unknown]") + volumeBefore + donor + donorRanges, want: lvm.ErrUnusable},
		{name: "a donor that is not linear", before: rows("/dev/b") + volumeBefore + donor + "LVM2_SEG_PE_RANGES='/dev/a:0-9'\n"},
		{name: "ranges of a hidden LV", before: rows("/dev/b") + volumeBefore + donor + "LVM2_SEG_PE_RANGES='a_mimage_0:0-4'\n"},
		{name: "opened in between", before: good, after: rows("/dev/b") + volumeBefore + donorOpen, changes: true, want: lvm.ErrInUse,
			words: "Logical volume vg0/pvc-1-grow in use.\n  Insufficient suitable allocatable extents for logical volume pvc-1: 5 more required"},
		{name: "not removed", before: good, after: rows("/dev/b") + volumeBefore + donor, changes: true, words: "Failed to write VG vg0."},
		{name: "not extended", before: good, after: rows("/dev/b") + volumeBefore, changes: true, want: lvm.ErrNoSpace,
			words: "VG vg0 41 metadata on /dev/a (9 bytes) exceeds maximum metadata size (8 bytes)"},
		{name: "the volume is gone", before: good, after: rows("/dev/b"), changes: true, want: lvm.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newAbsorb(t, c.before, c.after, c.words)
			_, err := s.manager.Absorb(context.Background(), absorption)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if changes := s.exists("input"); changes != c.changes {
				t.Errorf("something was changed: %t, want %t", changes, c.changes)
			}
			// Both locks are free again.
			if unlock, err := s.manager.lockBoth(shortly(t), "vg0"); err != nil {
				t.Error(err)
			} else {
				unlock()
			}
		})
	}
}

// TestAbsorbHoldsLVMsLock takes the lock as LVM does.
func TestAbsorbHoldsLVMsLock(t *testing.T) {
	s := newAbsorb(t, rows("/dev/b")+volumeBefore+donor+donorRanges, rows("/dev/b")+volumeAfter, "")
	directory := s.manager.options.LockDirectory
	lock, err := hostLock(context.Background(), directory, "vg0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.manager.Absorb(shortly(t), absorption); !errors.Is(err, lvm.ErrBusy) {
		t.Errorf("error %v, want busy", err)
	}
	// LVM unlinks the file when it gives the lock back: whoever waited for that file holds nothing.
	stale, err := os.Open(filepath.Join(directory, "V_vg0"))
	if err != nil {
		t.Fatal(err)
	}
	defer stale.Close()
	if err := os.Remove(filepath.Join(directory, "V_vg0")); err != nil {
		t.Fatal(err)
	}
	lock.Close()
	lock, err = hostLock(shortly(t), directory, "vg0")
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if _, err := s.manager.Absorb(context.Background(), absorption); err != nil {
		t.Error(err)
	}
}
