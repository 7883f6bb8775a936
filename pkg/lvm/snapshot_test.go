package lvm_test

import (
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// The sizes are those that lvcreate calls "maximum usable size" for extents of 4 MiB.
func TestMaximumSnapshotBytes(t *testing.T) {
	for origin, want := range map[int64]int64{
		4 << 20: 8 << 20,
		// 65536 chunks of 4 KiB, 256 of metadata and the header: 257 MiB and 4 KiB.
		256 << 20: 260 << 20,
		// 262144 chunks, 1024 of metadata and the header: 1028 MiB and 4 KiB.
		1 << 30:             1032 << 20,
		lvm.MaxBytes &^ 511: lvm.MaxBytes &^ (4<<20 - 1),
	} {
		if got := lvm.MaximumSnapshotBytes(origin, 4<<20); got != want {
			t.Errorf("of %d bytes: %d, want %d", origin, got, want)
		}
	}
}

func TestSnapshotsOf(t *testing.T) {
	vg := lvm.VolumeGroup{LogicalVolumes: []lvm.LogicalVolume{
		{Name: "v", SizeBytes: 1 << 30},
		{Name: "s", SizeBytes: 1 << 20, Origin: "v"},
		{Name: "thin", SizeBytes: 2 << 30, ThinPool: "pool"},
		{Name: "fork", SizeBytes: 2 << 30, ThinPool: "pool", Origin: "thin"},
		{Name: "lost", SizeBytes: 1 << 20, Origin: "gone"},
	}}
	if got := vg.ThickSnapshots("v"); len(got) != 1 || got[0].Name != "s" {
		t.Errorf("of v: %+v, want s", got)
	}
	if got := vg.ThickSnapshots("thin"); len(got) != 0 {
		t.Errorf("of thin: %+v, want none: its pool keeps them apart", got)
	}
	for name, want := range map[string]int64{"v": 1 << 30, "s": 1 << 30, "fork": 2 << 30, "lost": 0} {
		lv, _ := vg.LogicalVolume(name)
		if got, found := vg.ViewBytes(lv); got != want || found != (want > 0) {
			t.Errorf("%s shows %d bytes (%t), want %d", name, got, found, want)
		}
	}
}

func TestHolds(t *testing.T) {
	tags := lvm.VolumeTags{Owned: true, Copy: true}.Strings()
	for _, c := range []struct {
		lv   lvm.LogicalVolume
		want string
	}{
		{lvm.LogicalVolume{Name: lvm.CopyName("v"), Tags: tags}, "v"},
		{lvm.LogicalVolume{Name: lvm.CopyName("v"), Tags: []string{lvm.TagCopy}}, ""},
		{lvm.LogicalVolume{Name: lvm.CopyName("v"), Tags: []string{lvm.TagOwned}}, ""},
		{lvm.LogicalVolume{Name: "v", Tags: tags}, ""},
	} {
		if got, ok := c.lv.Holds(); got != c.want || ok != (c.want != "") {
			t.Errorf("%+v holds for %q, want %q", c.lv, got, c.want)
		}
	}
}

func TestSnapshotUID(t *testing.T) {
	for id, want := range map[string]string{lvm.SnapshotID("snapshot-" + uid): uid, lvm.SnapshotID("other"): "", "pvc-" + uid: ""} {
		if got, ok := lvm.SnapshotUID(id); got != want || ok != (want != "") {
			t.Errorf("%q is of %q, want %q", id, got, want)
		}
	}
}
