package dm

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

func TestName(t *testing.T) {
	for _, c := range []struct{ vg, lv, want string }{
		{"vg0", "data", "/dev/mapper/vg0-data"},
		{"vg-ssd", "pvc-1", "/dev/mapper/vg--ssd-pvc--1"},
		{"a", "b-c", "/dev/mapper/a-b--c"},
		{"a-b", "c", "/dev/mapper/a--b-c"},
	} {
		if got := Path(c.vg, c.lv); got != c.want {
			t.Errorf("%s/%s: %s, want %s", c.vg, c.lv, got, c.want)
		}
	}
	if got, want := UUIDPrefix("purGhB-aqAh-QYKV-XFRT-70a6-jOCY-09AeOM"), "LVM-purGhBaqAhQYKVXFRT70a6jOCY09AeOM"; got != want {
		t.Errorf("uuid prefix %s, want %s", got, want)
	}
}

// TestHeader compares the header with sizeof(struct dm_ioctl) and DM_LIST_DEVICES as a C compiler has them.
func TestHeader(t *testing.T) {
	if headerSize != 312 {
		t.Errorf("header of %d bytes, want 312", headerSize)
	}
	if got := request(listDevices); got != 0xc138fd02 {
		t.Errorf("request %#x, want 0xc138fd02", got)
	}
}

// entry is one struct dm_name_list as the kernel writes it, padded to 8 bytes; last ones lead nowhere.
func entry(device uint64, name string, last bool) []byte {
	entry := binary.NativeEndian.AppendUint64(nil, device)
	length := (12 + len(name) + 1 + 7) / 8 * 8
	next := uint32(length)
	if last {
		next = 0
	}
	entry = binary.NativeEndian.AppendUint32(entry, next)
	entry = append(entry, name...)
	return append(entry, make([]byte, length-len(entry))...)
}

func TestParseNames(t *testing.T) {
	for _, c := range []struct {
		name    string
		list    []byte
		want    []string
		wantErr error
	}{
		{name: "none", list: entry(0, "", true)},
		{name: "one", list: entry(254<<8, "vg0-a", true), want: []string{"vg0-a"}},
		{
			name: "several",
			list: slices.Concat(entry(254<<8, "vg0-a", false), entry(254<<8|1, "vg0-longer--name", false), entry(254<<8|2, "b", true)),
			want: []string{"vg0-a", "vg0-longer--name", "b"},
		},
		{name: "cut off", list: entry(254<<8, "vg0-a", false), wantErr: errMalformed},
		{name: "empty", wantErr: errMalformed},
		{name: "name does not end", list: entry(1, "vg0-a", true)[:15], wantErr: errMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseNames(c.list)
			if !slices.Equal(got, c.want) || !errors.Is(err, c.wantErr) {
				t.Errorf("%v (%v), want %v (%v)", got, err, c.want, c.wantErr)
			}
		})
	}
}
