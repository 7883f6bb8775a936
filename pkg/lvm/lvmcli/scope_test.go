package lvmcli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// linearRest is what a row of a linear LV says besides.
const linearRest = "LVM2_LV_LAYOUT='linear' LVM2_POOL_LV='' LVM2_ORIGIN='' LVM2_LV_SNAPSHOT_INVALID='-1' LVM2_LV_HEALTH_STATUS='' " +
	"LVM2_LV_ATTR='-wi-a-----' LVM2_LV_METADATA_SIZE='' LVM2_DATA_PERCENT='' LVM2_METADATA_PERCENT=''"

// rows are a report of vg0 on /dev/a with the second physical volume given, and LVs given.
func rows(secondPV string, lvs ...string) string {
	missing := 0
	if strings.HasPrefix(secondPV, "[") {
		missing = 1
	}
	var text strings.Builder
	fmt.Fprintf(&text, "LVM2_VG_NAME='vg0' LVM2_VG_UUID='u' LVM2_VG_SEQNO='1' LVM2_VG_EXTENT_SIZE='4194304' "+
		"LVM2_VG_SIZE='8388608' LVM2_VG_FREE='8388608' LVM2_VG_MDA_FREE='1' LVM2_VG_MISSING_PV_COUNT='%d' "+
		"LVM2_VG_EXPORTED='0' LVM2_VG_CLUSTERED='0' LVM2_VG_SHARED='0' LVM2_VG_TAGS=''\n", missing)
	for _, pv := range []string{"/dev/a", secondPV} {
		if pv != "" {
			fmt.Fprintf(&text, "LVM2_PV_NAME='%s' LVM2_PV_UUID='u' LVM2_PV_SIZE='4194304' LVM2_PV_FREE='4194304' "+
				"LVM2_PV_ALLOCATABLE='1' LVM2_PV_MISSING='%d'\n", pv, missing)
		}
	}
	for _, tags := range lvs {
		fmt.Fprintf(&text, "LVM2_LV_NAME='pvc-1' LVM2_LV_UUID='u' LVM2_LV_SIZE='4194304' LVM2_LV_TAGS='%s' "+
			"LVM2_LV_ACTIVE_LOCALLY='1' LVM2_LV_DEVICE_OPEN='0' %s\n", tags, linearRest)
	}
	return text.String()
}

func report(t *testing.T, s *script) lvm.VolumeGroup {
	t.Helper()
	report, err := s.manager.Report(context.Background(), []string{"vg0"})
	if err != nil {
		t.Fatal(err)
	}
	return report.VolumeGroups["vg0"]
}

// scoped tells which executions had --devices, and with what.
func scoped(commands []string) []string {
	var scopes []string
	for _, command := range commands {
		_, rest, _ := strings.Cut(command+" ", " --devices ")
		scope, _, _ := strings.Cut(rest, " ")
		scopes = append(scopes, scope)
	}
	return scopes
}

func TestReportsNarrowTheirScan(t *testing.T) {
	s := newScript(t, Options{}, `case "$*" in *--devices*) cat $here/narrow;; *) cat $here/full;; esac`)
	s.write(t, "full", rows("/dev/b"))
	s.write(t, "narrow", rows("/dev/b"))
	report(t, s)
	report(t, s)
	// The operator extends the volume group: its devices of before do not show it whole.
	s.write(t, "narrow", rows("[unknown]"))
	s.write(t, "full", rows("/dev/c"))
	if vg := report(t, s); vg.Unusable() != "" || vg.PhysicalVolumes[1].Name != "/dev/c" {
		t.Errorf("volume group %+v, want what a full scan shows", vg)
	}
	s.write(t, "narrow", rows("/dev/c"))
	report(t, s)
	// A disk is lost: every report scans until it is back.
	s.write(t, "narrow", rows("[unknown]"))
	s.write(t, "full", rows("[unknown]"))
	report(t, s)
	report(t, s)
	want := []string{"", "/dev/a,/dev/b", "/dev/a,/dev/b", "", "/dev/a,/dev/c", "/dev/a,/dev/c", "", ""}
	if got := scoped(s.commands(t)); !slices.Equal(got, want) {
		t.Errorf("scopes %q, want %q", got, want)
	}
}

func TestChangesNarrowTheirScan(t *testing.T) {
	const missing = `echo "  Cannot change VG vg0 while PVs are missing." >&2; exit 5`
	s := newScript(t, Options{}, `case "$*" in
*fullreport*) cat $here/full;;
lvremove*vg_missing_pv_count*) ;;
lvremove*) echo '  Logical volume "pvc-1" successfully removed.';;
lvcreate*--devices*) `+missing+`;;
esac`)
	s.write(t, "full", rows("/dev/b"))
	report(t, s)
	if err := s.manager.Create(context.Background(), request("vg0")); err != nil {
		t.Error(err)
	}
	report(t, s)
	if err := s.manager.Remove(context.Background(), "vg0", "pvc-1"); err != nil {
		t.Error(err)
	}
	commands := s.commands(t)
	// report, create twice, report with a full scan, remove twice.
	want := []string{"", "/dev/a,/dev/b", "", "", "/dev/a,/dev/b", ""}
	if got := scoped(commands); !slices.Equal(got, want) {
		t.Errorf("scopes %q, want %q", got, want)
	}
	for _, command := range commands {
		narrow, guarded := strings.Contains(command, "--devices"), strings.Contains(command, "vg_missing_pv_count=0")
		if strings.HasPrefix(command, "lvremove") && narrow != guarded {
			t.Errorf("%s: a removal must look for missing physical volumes when, and only when, it does not scan", command)
		}
	}
}
