package lvmcli

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func recorded(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestParseReport(t *testing.T) {
	report, err := parseReport(recorded(t, "two-groups-2.03.16.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ssd := report.VolumeGroups["vg-ssd"]
	var names []string
	for _, lv := range ssd.LogicalVolumes {
		names = append(names, lv.Name)
	}
	// Mirror legs, pool data and pool metadata are there and not visible.
	if want := []string{"mir", "pool", "pvc-1", "pvc-2", "snap", "thin"}; !slices.Equal(names, want) {
		t.Errorf("logical volumes %v, want %v", names, want)
	}
	open, _ := ssd.LogicalVolume("pvc-1")
	want := lvm.LogicalVolume{
		Name:      "pvc-1",
		UUID:      "bTIp36-XvjE-8GA4-5Of6-aa3w-q0ue-sm97Ye",
		SizeBytes: 1 << 30,
		Tags:      []string{"berth.dev", "berth.dev/claim=default/data-db-0", "berth.dev/ready"},
		Active:    true,
		Open:      true,
	}
	if !reflect.DeepEqual(open, want) {
		t.Errorf("volume %+v, want %+v", open, want)
	}
	if inactive, _ := ssd.LogicalVolume("pvc-2"); inactive.Active || inactive.Open {
		t.Errorf("volume %+v, want it inactive", inactive)
	}
	ssd.LogicalVolumes = nil
	if want := (lvm.VolumeGroup{
		Name:              "vg-ssd",
		UUID:              "IuVz26-MSRo-HbbN-oeJ4-TK6x-gtue-QzJkjm",
		Seqno:             11,
		ExtentSizeBytes:   4 << 20,
		SizeBytes:         8581545984,
		FreeBytes:         7071596544, // 2994733056 + 4076863488
		MetadataFreeBytes: 516608,
		PhysicalVolumes: []lvm.PhysicalVolume{
			{Name: "/dev/ubda", UUID: "c9mh1i-0qrM-IwCy-av1H-uiPc-ige3-jZ14E0", SizeBytes: 4290772992, FreeBytes: 2994733056, Allocatable: true},
			{Name: "/dev/ubdb", UUID: "4rwkPP-ZIjz-2u1c-3YJe-R8Qj-75V3-QovMFK", SizeBytes: 4290772992, FreeBytes: 4076863488, Allocatable: true},
		},
	}); !reflect.DeepEqual(ssd, want) {
		t.Errorf("volume group %+v, want %+v", ssd, want)
	}
	if hdd := report.VolumeGroups["vg-hdd"]; len(hdd.PhysicalVolumes) != 1 || len(hdd.LogicalVolumes) != 0 || hdd.SizeBytes != 2143289344 {
		t.Errorf("volume group %+v, want one physical volume of its own and nothing on it", hdd)
	}
}

func TestParseReportOfUnusable(t *testing.T) {
	report, err := parseReport(recorded(t, "missing-device-2.03.16.txt"))
	if err != nil {
		t.Fatal(err)
	}
	vg := report.VolumeGroups["vg-ssd"]
	lost := vg.PhysicalVolumes[1]
	if vg.MissingPhysicalVolumes != 1 || !lost.Missing || lost.Name != "[unknown] 4rwkPP-ZIjz-2u1c-3YJe-R8Qj-75V3-QovMFK" {
		t.Errorf("volume group %+v, want its second physical volume missing", vg)
	}
	// Only what lies on the device that is there: 2994733056.
	if space := vg.Space(0); space.FreeBytes() != 2994733056 {
		t.Errorf("%d bytes free, want those of the device that is there", space.FreeBytes())
	}
	report, err = parseReport(recorded(t, "exported-2.03.16.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if vg := report.VolumeGroups["vg-hdd"]; vg.Unusable() != "it is exported" {
		t.Errorf("volume group is unusable: %q, want exported", vg.Unusable())
	}
}

func TestParseReportRefuses(t *testing.T) {
	good := recorded(t, "exported-2.03.16.txt")
	for name, bad := range map[string]string{
		"a number that is none":   strings.Replace(good, "VG_FREE='2143289344'", "VG_FREE='2g'", 1),
		"an empty number":         strings.Replace(good, "VG_SEQNO='2'", "VG_SEQNO=''", 1),
		"a number past an int64":  strings.Replace(good, "VG_SIZE='2143289344'", "VG_SIZE='21432893440000000000'", 1),
		"a column that lacks":     strings.Replace(good, "LVM2_VG_SEQNO='2' ", "", 1),
		"a value that is cut off": good[:len(good)-4],
		"a name that is cut off":  good[:strings.LastIndex(good, "_PV_MISSING")],
		"no volume group":         good[strings.Index(good, "LVM2_PV_NAME"):],
	} {
		t.Run(name, func(t *testing.T) {
			if report, err := parseReport(bad); err == nil {
				t.Errorf("report %+v, want an error", report)
			}
		})
	}
}

func TestParseReportPassesOver(t *testing.T) {
	report, err := parseReport("  Logical volume vg-hdd/a changed.\n\n" + recorded(t, "exported-2.03.16.txt") + "\n")
	if err != nil || len(report.VolumeGroups) != 1 {
		t.Errorf("report %+v (%v), want one volume group", report, err)
	}
}

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		name   string
		stderr string
		code   int
		// wantRefusal begins the refusal of vg0; empty means that vg0 is not in the report.
		wantRefusal string
		wantErr     bool
	}{
		{name: "all well, with a warning", stderr: "  WARNING: something\n"},
		{
			name:   "not there",
			stderr: "  Volume group \"vg0\" not found\n  Cannot process volume group vg0\n",
			code:   5,
		},
		{
			name: "another host's",
			stderr: "  Cannot access VG vg0 with system ID other with unknown local system ID.\n" +
				"  Cannot access VG vg0 with system ID other with unknown local system ID.\n",
			code:        5,
			wantRefusal: "it belongs to another host",
		},
		{
			name: "two of one name",
			stderr: "  WARNING: VG name vg0 is used by VGs lil2TM-pplb-7FV3-h0aH-ff2F-uzX3-ZnoTay and zz3bEv-yiKZ-DAbO-XX8l-QpMO-Y7QS-4XPb1n.\n" +
				"  Fix duplicate VG names with vgrename uuid, a device filter, or system IDs.\n" +
				"  Multiple VGs found with the same name: skipping vg0\n" +
				"  Use --select vg_uuid=<uuid> in place of the VG name.\n",
			code:        5,
			wantRefusal: "several volume groups have this name",
		},
		{
			name:        "shared",
			stderr:      "  Cannot access VG vg0 with lock type sanlock that requires lvmlockd.\n",
			code:        5,
			wantRefusal: "it is shared",
		},
		{
			name: "a volume group that nobody asked for",
			stderr: "  Cannot access VG vgx with system ID other with unknown local system ID.\n" +
				"  Volume group \"vg0\" not found\n  Cannot process volume group vg0\n",
			code: 5,
		},
		{
			name:    "a lock",
			stderr:  "  Giving up waiting for lock.\n  Can't get lock for vg0.\n  Cannot process volume group vg0\n",
			code:    5,
			wantErr: true,
		},
		{name: "without a word", code: 5, wantErr: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := lvm.Report{VolumeGroups: map[string]lvm.VolumeGroup{}}
			err := complete(report, []string{"vg0", "vg1"}, result{stderr: c.stderr, code: c.code})
			if (err != nil) != c.wantErr {
				t.Fatalf("error %v, want one: %t", err, c.wantErr)
			}
			vg, ok := report.VolumeGroups["vg0"]
			if ok != (c.wantRefusal != "") || !strings.HasPrefix(vg.Refusal, c.wantRefusal) {
				t.Errorf("volume group %+v, want refusal %q", vg, c.wantRefusal)
			}
			if len(report.VolumeGroups) > 1 {
				t.Errorf("report %+v has more than was asked for", report)
			}
		})
	}
}

// TestClassify has the words of LVM 2.03.16 for what went wrong in a volume group vg0.
func TestClassify(t *testing.T) {
	const missing = "  WARNING: Couldn't find device with uuid kBTEKW-lNLX-F2UV-WQ2q-LZfi-8Svm-P0tv3O.\n" +
		"  WARNING: VG vg0 is missing PV kBTEKW-lNLX-F2UV-WQ2q-LZfi-8Svm-P0tv3O (last written to /dev/ubdc).\n"
	for _, c := range []struct {
		name, stderr string
		want         error
	}{
		{"full", "  Volume group \"vg0\" has insufficient free space (1790 extents): 25600 required.\n", lvm.ErrNoSpace},
		{"full physical volume", "  Insufficient free space: 875 extents needed, but only 767 available\n", lvm.ErrNoSpace},
		{"fragmented", "  Insufficient suitable allocatable extents for logical volume x: 3 more required\n", lvm.ErrNoSpace},
		{"closed", "  WARNING: Physical volume /dev/ubda not allocatable.\n  No specified PVs have space available.\n", lvm.ErrNoSpace},
		{"metadata area full", "  VG vgs 41 metadata on /dev/ubda (532217 bytes) exceeds maximum metadata size (521472 bytes)\n  Failed to write VG vgs.\n", lvm.ErrNoSpace},
		{"physical volume of another group", "  Physical Volume \"/dev/ubdc\" not found in Volume Group \"vg0\".\n", lvm.ErrNoSpace},
		{"too large", "  Volume too large (8.00 EiB) for extent size 4.00 MiB. Upper limit is less than <16.00 PiB.\n", lvm.ErrInvalidSize},
		{"name taken", "  Logical Volume \"pvc-1\" already exists in volume group \"vg0\"\n", lvm.ErrExists},
		{"no volume group", "  Volume group \"nosuch\" not found\n  Cannot process volume group nosuch\n", lvm.ErrNotFound},
		{"no volume", "  Failed to find logical volume \"vg0/nosuch\"\n", lvm.ErrNotFound},
		{"no volume to extend", "  Logical volume nosuch not found in volume group vg0.\n", lvm.ErrNotFound},
		{"open", "  Logical volume vg0/pvc-1 in use.\n", lvm.ErrInUse},
		{"mounted", "  Logical volume vg0/pvc-1 contains a filesystem in use.\n", lvm.ErrInUse},
		{"thick origin", "  Snapshot origin volumes can be resized only while inactive: try lvchange -an.\n", lvm.ErrInUse},
		{"too few for legs", "  Number of stripes (3) must not exceed number of physical volumes (2)\n", lvm.ErrNoSpace},
		{"no thin pool", "  Pool nosuch not found in Volume group vg0.\n", lvm.ErrNotFound},
		{"thin pool full", "  Cannot create new thin volume, free space in thin pool vg0/pool reached threshold.\n", lvm.ErrNoSpace},
		{"exported", "  Volume group vg0 is exported\n", lvm.ErrUnusable},
		{"device missing", missing + "  Cannot change VG vg0 while PVs are missing.\n  See vgreduce --removemissing and vgextend --restoremissing.\n  Cannot process volume group vg0\n", lvm.ErrUnusable},
		{"partial", missing + "  Refusing activation of partial LV vg0/onc.  Use '--activationmode partial' to override.\n", lvm.ErrUnusable},
		{"foreign", "  Cannot access VG vg0 with system ID other with unknown local system ID.\n", lvm.ErrUnusable},
		{"name used twice", "  Multiple VGs found with the same name: skipping vg0\n  Use --select vg_uuid=<uuid> in place of the VG name.\n", lvm.ErrUnusable},
		{"locked", "  Interrupted...\n  Giving up waiting for lock.\n  Can't get lock for vgs.\n  Cannot process volume group vgs\n", lvm.ErrBusy},
		{"full, beside a foreign group", "  Cannot access VG vgx with system ID other with unknown local system ID.\n  Volume group \"vg0\" has insufficient free space (0 extents): 1 required.\n", lvm.ErrNoSpace},
		{"device name taken", "  device-mapper: create ioctl on vg0-clash LVM-pur failed: Device or resource busy\n  Failed to activate new LV vg0/clash.\n", nil},
		{"silence", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := classify("lvcreate", result{stderr: c.stderr, code: 5})
			for _, known := range []error{lvm.ErrNoSpace, lvm.ErrInvalidSize, lvm.ErrExists, lvm.ErrNotFound, lvm.ErrInUse, lvm.ErrUnusable, lvm.ErrBusy} {
				if errors.Is(err, known) != errors.Is(c.want, known) {
					t.Errorf("error %v, want %v", err, c.want)
				}
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "WARNING") {
				t.Errorf("error %q, want one line without warnings", err)
			}
		})
	}
}
