package agent

import (
	"reflect"
	"strings"
	"testing"
)

func TestConfigSupply(t *testing.T) {
	file, err := ParseConfig([]byte(`
volumeGroups:
- {name: vg-ssd, devices: [/dev/disk/by-id/nvme-*, /dev/sdb], spare: 1Gi}
- {name: vg-dev, loopFile: {path: /var/lib/berth/vg-dev.img, size: 50Gi}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []VolumeGroupConfig{
		{Name: "vg-ssd", SpareBytes: gi, Devices: []string{"/dev/disk/by-id/nvme-*", "/dev/sdb"}},
		{Name: "vg-dev", LoopFile: &LoopFile{Path: "/var/lib/berth/vg-dev.img", SizeBytes: 50 * gi}},
	}
	if got := file.ForNode(nil).VolumeGroups; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestBadSupplies(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"device outside of /dev", "volumeGroups:\n- {name: vg0, devices: [/dev/sda, /tmp/a]}\n", []string{"volumeGroups[0].devices[1]", `"/tmp/a"`}},
		{"device by a detour", "volumeGroups:\n- {name: vg0, devices: [/dev/../tmp/a]}\n", []string{"volumeGroups[0].devices[0]"}},
		{"bad pattern", "volumeGroups:\n- {name: vg0, devices: ['/dev/sd[']}\n", []string{"volumeGroups[0].devices[0]", `"/dev/sd["`}},
		{"devices and a file", "volumeGroups:\n- {name: vg0, devices: [/dev/sda], loopFile: {path: /var/lib/berth/a, size: 1Gi}}\n", []string{"volumeGroups[0].loopFile", "or of a file"}},
		{"file elsewhere", "volumeGroups:\n- {name: vg0, loopFile: {path: /var/lib/kubelet/a, size: 1Gi}}\n", []string{"volumeGroups[0].loopFile.path", "/var/lib/berth"}},
		{"file by a detour", "volumeGroups:\n- {name: vg0, loopFile: {path: /var/lib/berth/../a, size: 1Gi}}\n", []string{"volumeGroups[0].loopFile.path"}},
		{"file without size", "volumeGroups:\n- {name: vg0, loopFile: {path: /var/lib/berth/a}}\n", []string{"volumeGroups[0].loopFile.size", "64Mi"}},
		{"file twice", "volumeGroups:\n- {name: vg0, loopFile: {path: /var/lib/berth/a, size: 1Gi}}\n- {name: vg1, loopFile: {path: /var/lib/berth/a, size: 1Gi}}\n", []string{"volumeGroups[1].loopFile.path", "vg0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseConfig([]byte(test.text))
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}
