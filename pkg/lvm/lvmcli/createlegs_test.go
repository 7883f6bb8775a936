package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// raid5 is a row of a volume of 4 MiB extents with the legs on the devices given.
func raid5(extents int, devices ...string) string {
	text := strings.Replace(volume("pvc-1", "u", extents, lvm.TagOwned, 0), "'linear'", "'raid,raid5,raid5_ls'", 1)
	for i, device := range devices {
		text += fmt.Sprintf("LVM2_LV_NAME='[pvc-1_rmeta_%d]' LVM2_SEG_PE_RANGES='%s:0-0'\n", i, device)
		text += fmt.Sprintf("LVM2_LV_NAME='[pvc-1_rimage_%d]' LVM2_SEG_PE_RANGES='%s:1-3'\n", i, device)
	}
	return text
}

func TestCreateLegs(t *testing.T) {
	const (
		refused = "  Insufficient suitable allocatable extents for logical volume pvc-1: 2 more required"
		free    = "  LVM2_PV_NAME='/dev/a' LVM2_PVSEG_START='0' LVM2_PVSEG_SIZE='1'\n  LVM2_PV_NAME='/dev/a' LVM2_PVSEG_START='7' LVM2_PVSEG_SIZE='9'\n" +
			"  LVM2_PV_NAME='/dev/b' LVM2_PVSEG_START='3' LVM2_PVSEG_SIZE='2'\n  LVM2_PV_NAME='/dev/c' LVM2_PVSEG_START='4' LVM2_PVSEG_SIZE='8'\n"
	)
	apart, crossed := raid5(6, "/dev/a", "/dev/b", "/dev/c"), raid5(6, "/dev/a", "/dev/b", "/dev/c")+"LVM2_LV_NAME='[pvc-1_rimage_0]' LVM2_SEG_PE_RANGES='/dev/b:9-9'\n"
	for _, c := range []struct {
		name string
		// looks are what the reports after each attempt say of the volume; words are LVM's to every lvextend.
		looks    []string
		words    string
		taken    bool
		want     error
		commands []string
	}{
		{name: "apart", looks: []string{apart}, commands: []string{"lvcreate", "shell"}},
		{name: "apart at the second attempt", looks: []string{crossed, apart}, commands: []string{"lvcreate", "shell", "lvremove", "pvs", "lvcreate", "shell"}},
		{name: "never apart", looks: []string{crossed, crossed}, want: lvm.ErrNoSpace, commands: []string{"lvcreate", "shell", "lvremove", "pvs", "lvcreate", "shell", "lvremove"}},
		{name: "no room to extend", looks: []string{raid5(2, "/dev/a", "/dev/b", "/dev/c")}, words: refused, want: lvm.ErrNoSpace, commands: []string{"lvcreate", "shell", "lvremove"}},
		{name: "a name that is taken", taken: true, want: lvm.ErrExists, commands: []string{"lvcreate"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, Options{}, `case "$1" in
lvcreate) [ ! -e $here/taken ] || { echo '  Logical Volume "pvc-1" already exists in volume group "vg0"' >&2; exit 5; };;
lvremove) echo '  Logical volume "pvc-1" successfully removed.';;
pvs) cat $here/free;;
"") n=$(ls -d $here/look.* | sort | head -n 1); cat >$here/input; cat $n; rm $n; cat $here/words >&2;;
esac`)
			for i, look := range c.looks {
				s.write(t, fmt.Sprintf("look.%d", i), rows("/dev/b")+look)
			}
			s.write(t, "free", free)
			s.write(t, "words", c.words+"\n")
			if c.taken {
				s.write(t, "taken", "")
			}
			err := s.manager.Create(context.Background(), lvm.CreateRequest{VolumeGroup: "vg0", Name: "pvc-1", SizeBytes: 24 * mib,
				Layout: lvm.Layout{Type: lvm.LayoutRAID5, Stripes: 2}, PhysicalVolumes: []string{"/dev/a", "/dev/b", "/dev/c"}})
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			var commands, made []string
			for _, line := range s.commands(t) {
				name, _, _ := strings.Cut(line, " ")
				if name == "" {
					name = "shell"
				}
				commands = append(commands, name)
				if name == "lvcreate" {
					made = append(made, line)
				}
			}
			if !slices.Equal(commands, c.commands) {
				t.Errorf("commands %v, want %v", commands, c.commands)
			}
			const first = "--type raid5 --stripes 2 --wipesignatures y --zero y --extents 2 --addtag berth.dev --name pvc-1 vg0 "
			if !strings.HasSuffix(made[0], first+"/dev/a /dev/b /dev/c") ||
				len(made) > 1 && !strings.HasSuffix(made[1], first+"/dev/a:0-0:7-7 /dev/b:3-3:4-4 /dev/c:4-4:5-5") {
				t.Errorf("made with %q", made)
			}
		})
	}
}
