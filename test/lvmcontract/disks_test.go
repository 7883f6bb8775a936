//go:build lab

package lvmcontract

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	utilexec "k8s.io/utils/exec"

	"github.com/berth-dev/berth/pkg/disks"
	lvmapi "github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmcli"
)

const mi = 1 << 20

// TestEmpty judges a disk as it comes from whoever had it before, and holds LVM to leaving alone what is not empty.
func TestEmpty(t *testing.T) {
	path := spareDisks(t)[0]
	forgetGroup(t)
	host, manager := disks.NewHost(utilexec.New()), lvmcli.New(lvmcli.Options{})
	wipe(t, path)
	disk := match(t, host, path)
	check := func(want string) {
		t.Helper()
		refusal, err := host.Check(context.Background(), disk)
		if err != nil || (refusal == "") != (want == "") || !strings.Contains(refusal, want) {
			t.Errorf("%q (%v), want %q", refusal, err, want)
		}
	}
	check("")
	held, err := os.OpenFile(path, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	check("it is in use")
	held.Close()

	if output, err := exec.Command("mkfs.ext4", "-q", "-F", path).CombinedOutput(); err != nil {
		t.Fatalf("mkfs: %v\n%s", err, output)
	}
	check("it holds ext4")
	if err := manager.CreateVolumeGroup(context.Background(), group, []string{path}); !errors.Is(err, lvmapi.ErrInUse) {
		t.Errorf("volume group of a file system: %v, want in use", err)
	}
	check("it holds ext4")

	wipe(t, path)
	lvm(t, "pvcreate", path)
	check("it holds LVM2_member")
	lvm(t, "pvremove", path)
	wipe(t, path)
	check("")
}

// TestLoopFile makes a volume group of a file and grows both.
func TestLoopFile(t *testing.T) {
	forgetGroup(t)
	host, manager := disks.NewHost(utilexec.New()), lvmcli.New(lvmcli.Options{})
	path := filepath.Join(t.TempDir(), "berth", "disk.img")
	attach := func(bytes int64) disks.Disk {
		t.Helper()
		disk, err := host.Attach(path, bytes)
		if err != nil {
			t.Fatal(err)
		}
		if disk.SizeBytes != bytes {
			t.Errorf("%s has %d bytes, want %d", disk.Path, disk.SizeBytes, bytes)
		}
		return disk
	}
	disk := attach(96 * mi)
	t.Cleanup(func() { detach(t, disk.Path) })
	if refusal, err := host.Check(context.Background(), disk); refusal != "" || err != nil {
		t.Fatalf("a new file: %q (%v), want it empty", refusal, err)
	}
	if again := attach(96 * mi); again.Name != disk.Name {
		t.Errorf("attached as %s and again as %s", disk.Name, again.Name)
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil || stat.Blocks*512 < 96*mi {
		t.Errorf("%d blocks are allocated (%v), want all of the file", stat.Blocks, err)
	}
	if err := manager.CreateVolumeGroup(context.Background(), group, []string{disk.Path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lvm(t, "vgremove", "--yes", group) })
	before := groupNow(t, manager)
	disk = attach(160 * mi)
	if err := manager.ResizePhysicalVolume(context.Background(), group, disk.Path); err != nil {
		t.Fatal(err)
	}
	if now := groupNow(t, manager); now.SizeBytes != before.SizeBytes+64*mi {
		t.Errorf("%d bytes after %d, want 64 MiB more", now.SizeBytes, before.SizeBytes)
	}
}

// forgetGroup removes LVM's backup of the volume groups of earlier tests: the manager makes none by the name of one that
// may come back.
func forgetGroup(t *testing.T) {
	t.Helper()
	if err := os.Remove("/etc/lvm/backup/" + group); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func match(t *testing.T, host *disks.Host, path string) disks.Disk {
	t.Helper()
	matched, err := host.Match([]string{path})
	if err != nil || len(matched) != 1 || matched[0].Path != path || matched[0].SizeBytes == 0 {
		t.Fatalf("%s matches %+v (%v), want one disk with a size", path, matched, err)
	}
	return matched[0]
}

// wipe zeroes a whole disk.
func wipe(t *testing.T, path string) {
	t.Helper()
	device, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	zeros := make([]byte, mi)
	for at := int64(0); ; at += mi {
		if _, err := device.WriteAt(zeros, at); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := device.Sync(); err != nil {
		t.Fatal(err)
	}
}

func detach(t *testing.T, path string) {
	t.Helper()
	device, err := os.Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer device.Close()
	if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
		t.Errorf("detach %s: %v", path, err)
	}
}
