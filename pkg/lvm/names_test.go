package lvm_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

const uid = "0a1b2c3d-4e5f-4678-9abc-def012345678"

func TestVolumeID(t *testing.T) {
	// LVM: fewer than 128 characters of these, no leading hyphen, and none of the names it keeps for itself.
	valid := regexp.MustCompile(`^(pvc-[0-9a-f-]{36}|v-[0-9a-f]{32})$`)
	names := []string{"pvc-" + uid, "pvc-" + strings.ToUpper(uid), "pvc-" + uid + "0", "pvc-", "", "snapshot1", "a b",
		strings.Repeat("x", 128), strings.Repeat("x", 127) + "y", "v-0123456789abcdef0123456789abcdef"}
	seen := map[string]string{}
	for _, name := range names {
		id := lvm.VolumeID(name)
		if !valid.MatchString(id) {
			t.Errorf("volume ID of %q is %q", name, id)
		}
		if other, taken := seen[id]; taken {
			t.Errorf("%q and %q have the volume ID %q", name, other, id)
		}
		seen[id] = name
		if id != lvm.VolumeID(name) {
			t.Errorf("volume ID of %q changes", name)
		}
	}
	if id := lvm.VolumeID("pvc-" + uid); id != "pvc-"+uid {
		t.Errorf("volume ID %q, want the name as it is", id)
	}
}

func TestClaimUID(t *testing.T) {
	for id, want := range map[string]string{
		"pvc-" + uid:                  uid,
		uid:                           "",
		"pvc-" + strings.ToUpper(uid): "",
		"pvc-" + uid[1:]:              "",
		"pvc-" + strings.ReplaceAll(uid, "-", "0"): "",
		lvm.VolumeID("some-name"):                  "",
	} {
		if got, ok := lvm.ClaimUID(id); got != want || ok != (want != "") {
			t.Errorf("claim of %q is %q, %t; want %q", id, got, ok, want)
		}
	}
}

func TestTopologyValue(t *testing.T) {
	valid := regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	long := strings.Repeat("a", 62)
	for _, c := range []struct {
		node string
		same bool
	}{
		{"node-1", true},
		{"n", true},
		{"ip-10-0-0-1.eu-central-1.compute.internal", true},
		{long + "b", true},
		{long + "bc", false},
		{long + "bd", false},
		{strings.Repeat("a", 41) + "." + strings.Repeat("b", 60), false}, // the cut falls behind a dot
		{strings.Repeat("a.", 126), false},
		{"", false},
		{"-", false},
		{"ünïcode", false},
	} {
		got := lvm.TopologyValue(c.node)
		if !valid.MatchString(got) {
			t.Errorf("value of %q is %q", c.node, got)
		}
		if (got == c.node) != c.same {
			t.Errorf("value of %q is %q, same: want %t", c.node, got, c.same)
		}
	}
	if lvm.TopologyValue(long+"bc") == lvm.TopologyValue(long+"bd") {
		t.Error("two nodes have one value")
	}
	if got := lvm.TopologyValue(long + "bc"); !strings.HasPrefix(got, long[:40]) {
		t.Errorf("%q does not show the node's name", got)
	}
}

func TestTags(t *testing.T) {
	for _, tags := range []lvm.VolumeTags{
		{},
		{Owned: true},
		{Owned: true, Grow: true, DeviceClass: "ssd"},
		{Owned: true, Ready: true, Snapshot: true, LUKS: true, ClaimNamespace: "default", ClaimName: "daily", DeviceClass: "ssd", Source: "pvc-" + uid},
		{Owned: true, Copy: true, Source: "pvc-" + uid},
		{Owned: true, Filled: true, FSType: "ext4", Source: lvm.SnapshotID("daily")},
		{Owned: true, Ready: true, ClaimNamespace: "default", ClaimName: "data-db-0", DeviceClass: "ssd", FSType: "xfs"},
	} {
		if got := lvm.ParseTags(tags.Strings()); got != tags {
			t.Errorf("%v became %v", tags, got)
		}
	}
	foreign := []string{"berth.devel", "berth.dev/unknown=1", "ready"}
	if got := lvm.ParseTags(foreign); got != (lvm.VolumeTags{}) {
		t.Errorf("%v says %v, want nothing", foreign, got)
	}
	if tags := (lvm.VolumeTags{Owned: true}).Strings(); !slices.Equal(tags, []string{"berth.dev"}) {
		t.Errorf("tags %v", tags)
	}
}

func TestGrows(t *testing.T) {
	id := lvm.VolumeID("anything")
	for _, c := range []struct {
		name string
		tags []string
		want string
	}{
		{lvm.GrowName(id), []string{lvm.TagOwned, lvm.TagGrow}, id},
		{lvm.GrowName(id), []string{lvm.TagGrow}, ""},
		{lvm.GrowName(id), []string{lvm.TagOwned}, ""},
		{id, []string{lvm.TagOwned, lvm.TagGrow}, ""},
	} {
		got, ok := lvm.LogicalVolume{Name: c.name, Tags: c.tags}.Grows()
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s with %v grows %q (%t), want %q", c.name, c.tags, got, ok, c.want)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"vg0": true, "vg-ssd": true, "a+b_c.d": true, ".hidden": true, strings.Repeat("a", 127): true,
		"": false, ".": false, "..": false, "-a": false, "a b": false, "a/b": false, "a'b": false, "a\nb": false, "ä": false,
		strings.Repeat("a", 128): false,
	} {
		if got := lvm.ValidName(name); got != want {
			t.Errorf("%q valid: %t, want %t", name, got, want)
		}
	}
}
