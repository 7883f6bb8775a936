package lvm_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func TestParseMkfsOptions(t *testing.T) {
	for _, c := range []struct {
		fsType, text string
		want         string
	}{
		{"ext4", "", ""},
		{"ext4", "-b 4096 -i16384", "-b 4096 -i 16384"},
		{"ext4", " -m0.5\t-T  largefile ", "-m 0.5 -T largefile"},
		{"ext4", "-O ^metadata_csum,quota -E stride=16,stripe_width=64 -J size=128M", "-O ^metadata_csum,quota -E stride=16,stripe_width=64 -J size=128M"},
		{"xfs", "-m reflink=0,rmapbt=1 -d su=64k,sw=4 -i size=512", "-m reflink=0,rmapbt=1 -d su=64k,sw=4 -i size=512"},
		{"btrfs", "--csum=xxhash -n 16k -m dup --features block-group-tree", "--csum xxhash -n 16k -m dup --features block-group-tree"},
	} {
		got, err := lvm.ParseMkfsOptions(c.fsType, c.text)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s %q: %q (%v), want %q", c.fsType, c.text, got, err, c.want)
		}
	}
}

// What reads host files, makes no file system or gives all volumes of a class one identity is refused by name.
func TestParseMkfsOptionsRefuses(t *testing.T) {
	for _, c := range []struct {
		fsType, text string
		words        []string
	}{
		{"ext4", "-d /etc", []string{"mkfs.ext4 -d", "-b"}},
		{"ext4", "-d/etc", []string{"mkfs.ext4 -d"}},
		{"ext4", "-J device=/dev/sda", []string{"-J device", "size"}},
		{"ext4", "-E offset=0", []string{"-E offset", "stride"}},
		{"ext4", "-O journal_dev", []string{"-O journal_dev"}},
		{"ext4", "-n", []string{"mkfs.ext4 -n"}},
		{"ext4", "-U random", []string{"-U"}},
		{"ext4", "-L root", []string{"-L"}},
		{"ext4", "-b", []string{"-b", `""`}},
		{"ext4", "-b -d", []string{"-b", `"-d"`}},
		{"ext4", "-b 4096 -b 1024", []string{"-b", "twice"}},
		{"ext4", "/dev/sda", []string{"/dev/sda"}},
		{"ext4", "-E stride", []string{"-E stride"}},
		{"xfs", "-p /etc/passwd", []string{"mkfs.xfs -p"}},
		{"xfs", "-d name=/dev/sda", []string{"-d name"}},
		{"xfs", "-l logdev=/dev/sda,size=1g", []string{"-l logdev"}},
		{"xfs", "-m uuid=1", []string{"-m uuid"}},
		{"btrfs", "--rootdir=/etc", []string{"--rootdir"}},
		{"btrfs", "-r /etc", []string{"-r"}},
		{"btrfs", "-m raid1", []string{"-m raid1", "single"}},
		{"btrfs", "-O list-all", []string{"list-all"}},
		{"zfs", "-b 1", []string{"zfs"}},
	} {
		got, err := lvm.ParseMkfsOptions(c.fsType, c.text)
		if !errors.Is(err, lvm.ErrInvalidParameter) {
			t.Errorf("%s %q: %q (%v)", c.fsType, c.text, got, err)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s %q: error %v does not say %s", c.fsType, c.text, err, word)
			}
		}
	}
}

func TestMkfsOptionsFor(t *testing.T) {
	p, err := lvm.ParseParameters(map[string]string{"mkfsOptions": "-m reflink=0"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.MkfsOptionsFor("xfs"); err != nil || !slices.Equal(got, []string{"-m", "reflink=0"}) {
		t.Errorf("xfs: %q (%v)", got, err)
	}
	if _, err := p.MkfsOptionsFor("ext4"); !errors.Is(err, lvm.ErrInvalidParameter) {
		t.Errorf("ext4: %v", err)
	}
	if got, err := p.MkfsOptionsFor(""); err != nil || got != nil {
		t.Errorf("block: %q (%v)", got, err)
	}
}
