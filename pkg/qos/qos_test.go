package qos

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	for name, test := range map[string]struct {
		device Device
		limits Limits
		want   string
	}{
		"none": {Device{253, 3}, Limits{}, "253:3 rbps=max wbps=max riops=max wiops=max"},
		"all":  {Device{253, 3}, Limits{1 << 20, 2 << 20, 100, 200}, "253:3 rbps=1048576 wbps=2097152 riops=100 wiops=200"},
		// Minor numbers have 20 bits.
		"large minor":             {Device{253, 1048575}, Limits{WriteBytes: 1}, "253:1048575 rbps=max wbps=1 riops=max wiops=max"},
		"more than 32 bits count": {Device{8, 256}, Limits{ReadOperations: 1 << 32, ReadBytes: 1 << 40}, "8:256 rbps=1099511627776 wbps=max riops=max wiops=max"},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.limits.kernel().line(test.device)
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			// The kernel lists other devices as well, and one whose number begins like this one.
			content := fmt.Sprintf("%d:%d9 rbps=7 wbps=7 riops=7 wiops=7\n%s\n", test.device.Major, test.device.Minor, got)
			if read, err := limitsOf(content, test.device); read != test.limits.kernel() || err != nil {
				t.Errorf("read back %+v, error %v", read, err)
			}
		})
	}
	if _, err := limitsOf("253:3 rbps=many", Device{253, 3}); err == nil {
		t.Error("a number that fails to parse is no error")
	}
}

func TestPodOf(t *testing.T) {
	const kubelet = "/var/lib/kubelet"
	for path, want := range map[string]string{
		kubelet + "/pods/uid-1/volumes/kubernetes.io~csi/pvc-1/mount":                        "uid-1",
		kubelet + "/plugins/kubernetes.io/csi/volumeDevices/publish/pvc-1/uid-1":             "uid-1",
		kubelet + "/pods/uid-1/volumeDevices/kubernetes.io~csi/pvc-1":                        "uid-1",
		kubelet + "/plugins/kubernetes.io/csi/volumeDevices/staging/pvc-1":                   "",
		kubelet + "/plugins/kubernetes.io/csi/lvm.berth.dev/0123/globalmount":                "",
		kubelet + "/pods/uid-1/volumes/kubernetes.io~secret/token":                           "",
		kubelet + "/pods/uid-1/volumes/kubernetes.io~csi/pvc-1/mount/pods/volumes/something": "",
	} {
		if got, ok := podOf(path); got != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

const (
	uid1 = "11111111-2222-4333-8444-555555555555"
	uid2 = "66666666-7777-4888-8999-000000000000"
)

// cgroups are directories below a root in which io.max is a file with this content; nil is a cgroup without it.
func newHost(t *testing.T, mounts []string, cgroups map[string]*string) *Host {
	t.Helper()
	root := t.TempDir()
	for name, content := range cgroups {
		if err := os.MkdirAll(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if content == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, name, "io.max"), []byte(*content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mountInfo := filepath.Join(t.TempDir(), "mountinfo")
	if err := os.WriteFile(mountInfo, []byte(strings.Join(mounts, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	devices := map[string]Device{
		"/dev/mapper/vg-a": {253, 300}, "/dev/mapper/vg-b": {253, 301}, blockPath(uid1): {253, 301},
	}
	return &Host{cgroupRoot: root, mountInfo: mountInfo, device: func(path string) (Device, bool) {
		d, ok := devices[path]
		return d, ok
	}}
}

func blockPath(uid string) string {
	return "/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/publish/pvc-b/" + uid
}

func mounted(uid string) string {
	return "100 1 253:300 / /var/lib/kubelet/pods/" + uid + "/volumes/kubernetes.io~csi/pvc-a/mount rw,noatime shared:1 - ext4 /dev/mapper/vg-a rw"
}

func bound(uid string) string {
	return "101 1 0:5 /dm-301 " + blockPath(uid) + " rw shared:1 - devtmpfs devtmpfs rw"
}

func TestApply(t *testing.T) {
	const (
		limited = "253:300 rbps=max wbps=max riops=100 wiops=max"
		onBlock = "253:301 rbps=max wbps=max riops=100 wiops=max"
		before  = "253:300 rbps=5 wbps=5 riops=5 wiops=5\n"
	)
	systemd := func(class, uid string) string {
		return "kubepods.slice/kubepods" + class + ".slice/kubepods" + class + "-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice"
	}
	empty, wrong, right := "", before, limited+"\n"
	for name, test := range map[string]struct {
		mounts  []string
		cgroups map[string]*string
		limits  Limits
		want    map[string]string
		waiting bool
		err     error
	}{
		"cgroupfs, guaranteed": {
			mounts: []string{mounted(uid1)}, cgroups: map[string]*string{"kubepods/pod" + uid1: &empty}, limits: Limits{ReadOperations: 100},
			want: map[string]string{"kubepods/pod" + uid1: limited},
		},
		"cgroupfs, two pods": {
			mounts:  []string{mounted(uid1), mounted(uid2), mounted(uid2)},
			cgroups: map[string]*string{"kubepods/burstable/pod" + uid1: &empty, "kubepods/besteffort/pod" + uid2: &wrong}, limits: Limits{ReadOperations: 100},
			want: map[string]string{"kubepods/burstable/pod" + uid1: limited, "kubepods/besteffort/pod" + uid2: limited},
		},
		"systemd, burstable": {
			mounts: []string{mounted(uid1)}, cgroups: map[string]*string{systemd("-burstable", uid1): &empty}, limits: Limits{ReadOperations: 100},
			want: map[string]string{systemd("-burstable", uid1): limited},
		},
		"systemd, guaranteed": {
			mounts: []string{mounted(uid1)}, cgroups: map[string]*string{
				"kubepods.slice/kubepods-pod" + strings.ReplaceAll(uid1, "-", "_") + ".slice": &empty,
			}, limits: Limits{ReadOperations: 100},
			want: map[string]string{"kubepods.slice/kubepods-pod" + strings.ReplaceAll(uid1, "-", "_") + ".slice": limited},
		},
		"block device": {
			mounts: []string{bound(uid1)}, cgroups: map[string]*string{"kubepods/pod" + uid1: &empty}, limits: Limits{ReadOperations: 100},
			want: map[string]string{"kubepods/pod" + uid1: onBlock},
		},
		"taken back": {
			mounts: []string{mounted(uid1)}, cgroups: map[string]*string{"kubepods/pod" + uid1: &wrong},
			want: map[string]string{"kubepods/pod" + uid1: "253:300 rbps=max wbps=max riops=max wiops=max"},
		},
		"right already": {
			mounts: []string{mounted(uid1)}, cgroups: map[string]*string{"kubepods/pod" + uid1: &right}, limits: Limits{ReadOperations: 100},
			want: map[string]string{"kubepods/pod" + uid1: right},
		},
		"no cgroup yet": {
			mounts: []string{mounted(uid1), mounted(uid2)}, cgroups: map[string]*string{"kubepods/pod" + uid2: &empty}, limits: Limits{ReadOperations: 100},
			want: map[string]string{"kubepods/pod" + uid2: limited}, waiting: true,
		},
		"io controller is off": {
			mounts: []string{mounted(uid1)}, cgroups: map[string]*string{"kubepods/pod" + uid1: nil}, limits: Limits{ReadOperations: 100}, err: errNoController,
		},
		"another hierarchy": {
			mounts: []string{mounted(uid1)}, cgroups: map[string]*string{"blkio": nil}, limits: Limits{ReadOperations: 100}, err: errNoPods,
		},
		"nobody uses it": {cgroups: map[string]*string{"kubepods/pod" + uid1: &empty}, want: map[string]string{"kubepods/pod" + uid1: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, test.mounts, maps.Clone(test.cgroups))
			results, err := h.Apply([]Volume{{ID: "v", Devices: []string{"/dev/mapper/vg-a", "/dev/mapper/vg-b", "/dev/mapper/none"}, Limits: test.limits}})
			if err != nil || len(results) != 1 {
				t.Fatalf("results %v, error %v", results, err)
			}
			if r := results[0]; r.ID != "v" || r.Waiting != test.waiting || !errors.Is(r.Err, test.err) || test.err == nil && r.Err != nil {
				t.Errorf("result %+v, want waiting %v, error %v", r, test.waiting, test.err)
			}
			for cgroup, want := range test.want {
				content, err := os.ReadFile(filepath.Join(h.cgroupRoot, cgroup, "io.max"))
				if string(content) != want || err != nil {
					t.Errorf("%s: %q, error %v, want %q", cgroup, content, err, want)
				}
			}
		})
	}
}
