package disks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/utils/exec"
	exectesting "k8s.io/utils/exec/testing"
)

const mi = 1 << 20

// rig is a host in a directory: sysfs as files, devices as sparse files, and a blkid that says what a test wants.
type rig struct {
	t       *testing.T
	root    string
	host    *Host
	numbers map[string]string
	// signature is what blkid prints; nothing found if empty.
	signature string
	probes    int
}

func newRig(t *testing.T) *rig {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, root: root, numbers: map[string]string{}}
	r.host = &Host{
		sys: filepath.Join(root, "sys"), dev: filepath.Join(root, "dev"), exec: r.blkid(),
		number: func(file *os.File) (string, error) { return r.numbers[filepath.Base(file.Name())], nil },
	}
	return r
}

func (r *rig) blkid() exec.Interface {
	fake := &exectesting.FakeExec{}
	run := func(command string, arguments ...string) exec.Cmd {
		r.probes++
		return exectesting.InitFakeCmd(&exectesting.FakeCmd{CombinedOutputScript: []exectesting.FakeAction{
			func() ([]byte, []byte, error) {
				if r.signature == "" {
					return nil, nil, exectesting.FakeExitError{Status: blkidNothing}
				}
				return []byte(r.signature), nil, nil
			},
		}}, command, arguments...)
	}
	for range 10 {
		fake.CommandScript = append(fake.CommandScript, run)
	}
	return fake
}

func (r *rig) write(path, content string) {
	r.t.Helper()
	path = filepath.Join(r.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) link(target, path string) {
	r.t.Helper()
	path = filepath.Join(r.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		r.t.Fatal(err)
	}
}

// add makes a disk of hardware; change writes attributes of it.
func (r *rig) add(name, number string, bytes int64, change map[string]string) {
	r.t.Helper()
	directory := "sys/devices/" + name
	for file, content := range map[string]string{
		"dev": number, "size": "0", "ro": "0", "removable": "0", "queue/zoned": "none", "device/model": "disk", "holders/.keep": "",
	} {
		r.write(directory+"/"+file, content+"\n")
	}
	os.Remove(filepath.Join(r.root, directory, "holders/.keep"))
	r.write(directory+"/size", itoa(bytes/sector))
	for file, content := range change {
		r.write(directory+"/"+file, content+"\n")
	}
	r.link("../../devices/"+name, "sys/class/block/"+name)
	node := strings.ReplaceAll(name, "!", "/")
	r.write("dev/"+node, "")
	if err := os.Truncate(filepath.Join(r.root, "dev", node), bytes); err != nil {
		r.t.Fatal(err)
	}
	r.numbers[filepath.Base(node)] = number
}

// partition makes a partition of a disk.
func (r *rig) partition(disk, name string) {
	r.t.Helper()
	for file, content := range map[string]string{"partition": "1", "dev": "8:99", "size": "2048", "ro": "0"} {
		r.write("sys/devices/"+disk+"/"+name+"/"+file, content+"\n")
	}
	r.link("../../devices/"+disk+"/"+name, "sys/class/block/"+name)
	r.write("dev/"+name, "")
}

func (r *rig) poke(name string, at int64) {
	r.t.Helper()
	file, err := os.OpenFile(filepath.Join(r.root, "dev", name), os.O_WRONLY, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte{1}, at); err != nil {
		r.t.Fatal(err)
	}
}

func itoa(n int64) string {
	digits := ""
	for ; n > 0 || digits == ""; n /= 10 {
		digits = string(rune('0'+n%10)) + digits
	}
	return digits
}

func TestMatch(t *testing.T) {
	r := newRig(t)
	r.add("sda", "8:0", 100*mi, map[string]string{"device/wwid": "naa.1"})
	r.add("sdb", "8:16", 200*mi, nil)
	r.partition("sdb", "sdb1")
	r.add("nvme0n1", "259:0", 100*mi, map[string]string{"wwid": "eui.2", "ro": "1", "hidden": "1", "queue/zoned": "host-managed", "removable": "1"})
	r.add("cciss!c0d0", "104:0", 100*mi, map[string]string{"holders/dm-0/x": ""})
	r.link("../../sda", "dev/disk/by-id/ata-A")
	r.link("../../sda", "dev/disk/by-id/wwn-A")
	r.link("../../sdb", "dev/disk/by-id/ata-B")
	r.link("../../sdb1", "dev/disk/by-id/ata-B-part1")
	r.link("../../gone", "dev/disk/by-id/ata-gone")
	r.write("dev/null", "")
	sda := Disk{Name: "sda", Number: "8:0", SizeBytes: 100 * mi, Hardware: true, WWID: "naa.1"}
	sdb := Disk{Name: "sdb", Number: "8:16", SizeBytes: 200 * mi, Hardware: true, Partitions: []string{"sdb1"}}
	for _, test := range []struct {
		name     string
		patterns []string
		want     []Disk
	}{
		{"one disk of two names, partitions with their disk", []string{"disk/by-id/*", "sda"}, []Disk{sda, sdb}},
		{"a partition alone", []string{"sdb1"}, []Disk{{Name: "sdb1", Number: "8:99", SizeBytes: mi, PartitionOf: "sdb"}}},
		{"all that excludes a disk", []string{"nvme*"}, []Disk{{
			Name: "nvme0n1", Number: "259:0", SizeBytes: 100 * mi, Hardware: true, WWID: "eui.2", ReadOnly: true, Hidden: true, Zoned: true, Removable: true,
		}}},
		{"a device in a directory", []string{"cciss/*"}, []Disk{{Name: "cciss!c0d0", Number: "104:0", SizeBytes: 100 * mi, Hardware: true, Holders: []string{"dm-0"}}}},
		{"what is no block device, or nothing", []string{"null", "disk", "sdz"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i := range test.patterns {
				test.patterns[i] = filepath.Join(r.root, "dev", test.patterns[i])
			}
			for i := range test.want {
				test.want[i].Path = r.host.path(test.want[i].Name)
			}
			got, err := r.host.Match(test.patterns)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v (%v), want %+v", got, err, test.want)
			}
		})
	}
	if _, err := r.host.Match([]string{"/dev/["}); !errors.Is(err, filepath.ErrBadPattern) {
		t.Errorf("bad pattern: %v", err)
	}
}

func TestCheck(t *testing.T) {
	const size = 100 * mi
	for _, test := range []struct {
		name      string
		prepare   func(r *rig)
		signature string
		want      string
		// wantProbes is how often blkid runs: never for a disk whose description settles it.
		wantProbes int
	}{
		{name: "empty", wantProbes: 1},
		{name: "first byte", prepare: func(r *rig) { r.poke("sda", 0) }, want: "byte 0 is not zero", wantProbes: 1},
		{name: "end of the first 4 MiB", prepare: func(r *rig) { r.poke("sda", 4*mi-1) }, want: "byte 4194303 is not zero", wantProbes: 1},
		{name: "last byte", prepare: func(r *rig) { r.poke("sda", size-1) }, want: "byte 104857599 is not zero", wantProbes: 1},
		{name: "beginning of the last 4 MiB", prepare: func(r *rig) { r.poke("sda", size-4*mi) }, want: "byte 100663296 is not zero", wantProbes: 1},
		{name: "only the middle", prepare: func(r *rig) { r.poke("sda", size/2) }, wantProbes: 1},
		{name: "a file system", prepare: func(r *rig) { r.poke("sda", 1080) }, signature: "DEVNAME=/dev/sda\nUUID=1\nTYPE=ext4\n", want: "it holds ext4", wantProbes: 1},
		{name: "a signature in the middle", signature: "DEVNAME=/dev/sda\nPTTYPE=gpt\n", want: "it holds a partition table (gpt)", wantProbes: 1},
		{name: "partitions since it was matched", prepare: func(r *rig) { r.partition("sda", "sda1") }, want: "it has partitions: sda1"},
		{name: "a second path", prepare: func(r *rig) { r.add("sdb", "8:16", size, map[string]string{"device/wwid": "naa.1"}) }, want: "it and sdb are the same disk (naa.1)"},
		{name: "another disk", prepare: func(r *rig) { r.add("sdb", "8:16", size, map[string]string{"device/wwid": "naa.2"}) }, wantProbes: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			r.add("sda", "8:0", size, map[string]string{"device/wwid": "naa.1"})
			disk, err := r.host.read("sda")
			if err != nil {
				t.Fatal(err)
			}
			if test.prepare != nil {
				test.prepare(r)
			}
			r.signature = test.signature
			refusal, err := r.host.Check(context.Background(), disk)
			if err != nil || (refusal == "") != (test.want == "") || !strings.Contains(refusal, test.want) || r.probes != test.wantProbes {
				t.Errorf("%q (%v) with %d probes, want %q with %d", refusal, err, r.probes, test.want, test.wantProbes)
			}
		})
	}
}

// TestCheckFindsAnotherDevice: between the look at sysfs and the open, the node became another disk's.
func TestCheckFindsAnotherDevice(t *testing.T) {
	r := newRig(t)
	r.add("sda", "8:0", 100*mi, nil)
	disk, err := r.host.read("sda")
	if err != nil {
		t.Fatal(err)
	}
	r.numbers["sda"] = "8:16"
	if refusal, err := r.host.Check(context.Background(), disk); err == nil || refusal != "" {
		t.Errorf("%q (%v), want an error", refusal, err)
	}
}
