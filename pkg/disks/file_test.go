package disks

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestGrowFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth", "vg.img")
	for _, step := range []struct{ ask, want int64 }{
		{1 * mi, 1 * mi},
		{3 * mi, 3 * mi},
		{2 * mi, 3 * mi}, // never cut
	} {
		file, err := growFile(path, step.ask)
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			t.Fatal(err)
		}
		if stat.Size != step.want || stat.Mode&0o777 != 0o600 {
			t.Errorf("asked for %d: %d bytes with mode %o, want %d and 600", step.ask, stat.Size, stat.Mode&0o777, step.want)
		}
	}
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := growFile(path, mi)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if content, err := os.ReadFile(path); err != nil || string(content[:4]) != "data" {
		t.Errorf("content %q (%v), want what was there", content[:4], err)
	}
}

func TestGrowFileRefuses(t *testing.T) {
	directory := t.TempDir()
	link := filepath.Join(directory, "link")
	if err := os.Symlink(filepath.Join(directory, "other"), link); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"a link": link, "a directory": directory} {
		if file, err := growFile(path, mi); err == nil {
			file.Close()
			t.Errorf("%s is taken for a file", name)
		}
	}
	huge := filepath.Join(directory, "huge")
	if file, err := growFile(huge, 1<<60); err == nil {
		file.Close()
		t.Error("a file that is larger than its file system is made")
	}
	if _, err := os.Lstat(huge); err == nil {
		t.Error("a refused file is left behind")
	}
}

func TestRoomFor(t *testing.T) {
	for _, test := range []struct {
		bytes, available, total int64
		want                    bool
	}{
		{bytes: 400, available: 500, total: 1000, want: true}, // 100 of 1000 are left
		{bytes: 401, available: 500, total: 1000},
		{bytes: 600, available: 500, total: 1000},
	} {
		if err := roomFor(test.bytes, test.available, test.total); (err == nil) != test.want {
			t.Errorf("%d of %d available of %d: %v, want room: %t", test.bytes, test.available, test.total, err, test.want)
		}
	}
}

func TestParseSignature(t *testing.T) {
	for output, want := range map[string]string{
		"":                               "",
		"DEVNAME=/dev/sda\n":             "",
		"DEVNAME=/dev/sda\nTYPE=xfs\n":   "xfs",
		"PTTYPE=dos\nTYPE=LVM2_member\n": "LVM2_member",
		"DEVNAME=/dev/sda\nPTUUID=1\nPTTYPE=gpt\n":  "a partition table (gpt)",
		"DEVNAME=/dev/sda\nUSAGE=raid\nVERSION=1\n": "a signature",
	} {
		if got := parseSignature(output); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}
