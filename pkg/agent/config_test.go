package agent

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

const twoKindsOfNodes = `
volumeGroups:
- {name: vg-ssd, spare: 10Gi, growthReserve: 512Mi}
- {name: vg-hdd}
deviceClasses:
- {name: ssd, volumeGroup: vg-ssd, default: true}
- {name: bulk, volumeGroup: vg-hdd}
nodes:
- nodeSelector: {disks: nvme}
  volumeGroups:
  - {name: vg-nvme}
  deviceClasses:
  - {name: ssd, volumeGroup: vg-nvme}
- nodeSelector: {disks: nvme, rack: "1"}
  deviceClasses: []
- nodeSelector: {rack: "1"}
  deviceClasses: []
`

func TestConfigForNode(t *testing.T) {
	file, err := ParseConfig([]byte(twoKindsOfNodes))
	if err != nil {
		t.Fatal(err)
	}
	base := Config{
		VolumeGroups: []VolumeGroupConfig{{Name: "vg-ssd", SpareBytes: 10 * gi, GrowthReserveBytes: 512 * mi}, {Name: "vg-hdd"}},
		DeviceClasses: []lvm.DeviceClass{
			{Name: "ssd", VolumeGroup: "vg-ssd", Default: true},
			{Name: "bulk", VolumeGroup: "vg-hdd"},
		},
	}
	nvme := Config{
		VolumeGroups:  []VolumeGroupConfig{{Name: "vg-nvme"}},
		DeviceClasses: []lvm.DeviceClass{{Name: "ssd", VolumeGroup: "vg-nvme"}},
	}
	for _, test := range []struct {
		name   string
		labels map[string]string
		want   Config
	}{
		{"no override matches", map[string]string{"disks": "hdd"}, base},
		{"no labels", nil, base},
		{"the first match wins", map[string]string{"disks": "nvme", "rack": "1"}, nvme},
		{"a list not given is the file's", map[string]string{"rack": "1"}, Config{VolumeGroups: base.VolumeGroups}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := file.ForNode(test.labels); !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
	if held := base.VolumeGroups[0].HeldBytes(); held != 10*gi+512*mi {
		t.Errorf("%d bytes held, want 10 GiB and 512 MiB", held)
	}
}

// class is a configuration of one volume group and one class with the keys given.
func class(keys string) string {
	return "{volumeGroups: [{name: vg0}], deviceClasses: [{name: a, volumeGroup: vg0, " + keys + "}]}"
}

func TestBadConfigs(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"empty"}},
		{"only a comment", "# nothing\n", []string{"empty"}},
		{"no keys", "{}", []string{"empty"}},
		{"not YAML", "a: [", []string{"line 1"}},
		{"unknown key", "volumeGroups:\n- name: vg0\n  spar: 1Gi\n", []string{"line 3", "unknown key spar"}},
		{"unknown top key", "volumeGroups: []\nclasses: []\n", []string{"line 2", "unknown key classes"}},
		{"duplicate key", "volumeGroups:\n- name: vg0\n  name: vg1\n", []string{"line 3", "name"}},
		{"two documents", "volumeGroups: []\n---\nvolumeGroups: []\n", []string{"more than one"}},
		{"bad quantity", "volumeGroups:\n- name: vg0\n  spare: ten\n", []string{"line 3", "volumeGroups[0].spare", `"ten"`}},
		{"quantity is a list", "volumeGroups:\n- name: vg0\n  spare: [1Gi]\n", []string{"line 3", "volumeGroups[0].spare"}},
		{"negative quantity", "volumeGroups:\n- name: vg0\n  growthReserve: -1Gi\n", []string{"line 3", "growthReserve", "0 or more"}},
		{"quantity past int64", "volumeGroups:\n- name: vg0\n  spare: 16Ei\n", []string{"line 3", "spare"}},
		{"fraction of a byte", "volumeGroups:\n- name: vg0\n  spare: 100m\n", []string{"line 3", "spare"}},
		{"no name", "volumeGroups:\n- spare: 1Gi\n", []string{"volumeGroups[0].name", `""`}},
		{"name with a slash", "volumeGroups:\n- name: a/b\n", []string{"volumeGroups[0].name", `"a/b"`}},
		{"name like an option", "volumeGroups:\n- name: --all\n", []string{"volumeGroups[0].name"}},
		{"volume group twice", "volumeGroups:\n- name: vg0\n- name: vg0\n", []string{"volumeGroups[1].name", "twice"}},
		{"class twice", "volumeGroups: [{name: vg0}]\ndeviceClasses:\n- {name: a, volumeGroup: vg0}\n- {name: a, volumeGroup: vg0}\n", []string{"deviceClasses[1].name", "twice"}},
		{"class without name", "volumeGroups: [{name: vg0}]\ndeviceClasses:\n- {volumeGroup: vg0}\n", []string{"deviceClasses[0].name"}},
		{"unknown volume group", "volumeGroups: [{name: vg0}]\ndeviceClasses:\n- {name: a, volumeGroup: vg1}\n", []string{"deviceClasses[0].volumeGroup", `"vg1"`}},
		{"two defaults", "volumeGroups: [{name: vg0}]\ndeviceClasses:\n- {name: a, volumeGroup: vg0, default: true}\n- {name: b, volumeGroup: vg0, default: true}\n", []string{"deviceClasses[1].default", `"a"`, `"b"`}},
		{"unknown layout", class("layout: {type: raid0}"), []string{"deviceClasses[0].layout.type", `"raid0"`, "raid10"}},
		{"layout without type", class("layout: {stripes: 2}"), []string{"deviceClasses[0].layout.type"}},
		{"unknown layout key", class("layout: {type: raid1, copies: 2}"), []string{"unknown key copies"}},
		{"stripes of raid1", class("layout: {type: raid1, stripes: 2}"), []string{"deviceClasses[0].layout.stripes", "raid1 has none"}},
		{"mirrors of linear", class("layout: {type: linear, mirrors: 2}"), []string{"deviceClasses[0].layout.mirrors", "linear has none"}},
		{"one stripe", class("layout: {type: striped, stripes: 1}"), []string{"deviceClasses[0].layout.stripes", "2"}},
		{"too many stripes", class("layout: {type: raid5, stripes: 64}"), []string{"deviceClasses[0].layout", "64"}},
		{"odd stripe size", class("layout: {type: striped, stripeSize: 96Ki}"), []string{"deviceClasses[0].layout.stripeSize", "96Ki"}},
		{"stripe size of raid1", class("layout: {type: raid1, stripeSize: 64Ki}"), []string{"deviceClasses[0].layout.stripeSize"}},
		{"thin layout", class("layout: {type: thin}"), []string{"deviceClasses[0].layout.type", `"thin"`}},
		{"layout and thin pool", class("layout: {type: linear}, thinPool: {name: p}"), []string{"deviceClasses[0].thinPool", "layout"}},
		{"thin pool without name", class("thinPool: {size: 1Gi}"), []string{"deviceClasses[0].thinPool.name"}},
		{"thin pool with a reserved name", class("thinPool: {name: p_tdata}"), []string{"deviceClasses[0].thinPool.name", "p_tdata"}},
		{"ratio below 1", class("thinPool: {name: p, overprovisionRatio: 0.5}"), []string{"line 1", "deviceClasses[0].thinPool.overprovisionRatio", `"0.5"`}},
		{"ratio is no number", class("thinPool: {name: p, overprovisionRatio: .nan}"), []string{"overprovisionRatio"}},
		{"bad pool size", class("thinPool: {name: p, size: big}"), []string{"deviceClasses[0].thinPool.size", `"big"`}},
		{"too much metadata", class("thinPool: {name: p, metadataSize: 20Gi}"), []string{"deviceClasses[0].thinPool.metadataSize", "16Gi"}},
		{"threshold past 100", class("thinPool: {name: p, extendAt: 101}"), []string{"deviceClasses[0].thinPool.extendAt", "101"}},
		{"step of nothing", class("thinPool: {name: p, extendBy: 0}"), []string{"deviceClasses[0].thinPool.extendBy"}},
		{"unknown way to be full", class("thinPool: {name: p, whenFull: wait}"), []string{"deviceClasses[0].thinPool.whenFull", `"wait"`}},
		{"pools that contradict", class("thinPool: {name: p, size: 1Gi}}, {name: b, volumeGroup: vg0, thinPool: {name: p, size: 2Gi}"),
			[]string{"deviceClasses[1].thinPool.size", "2Gi", "1Gi", "vg0/p"}},
		{"ways to be full that contradict", class("thinPool: {name: p, whenFull: queue}}, {name: b, volumeGroup: vg0, thinPool: {name: p, whenFull: error}"),
			[]string{"deviceClasses[1].thinPool.whenFull", "queue"}},
		{"unknown encryption", class("encryption: luks1"), []string{"deviceClasses[0].encryption", `"luks1"`}},
		{"override without selector", "volumeGroups: []\nnodes:\n- volumeGroups: []\n", []string{"nodes[0].nodeSelector"}},
		{"override with a bad label", "volumeGroups: []\nnodes:\n- nodeSelector: {a: 'b c'}\n", []string{"nodes[0].nodeSelector"}},
		{"override's class without its volume group", "volumeGroups: [{name: vg0}]\ndeviceClasses: [{name: a, volumeGroup: vg0}]\nnodes:\n- nodeSelector: {a: b}\n  volumeGroups: [{name: vg1}]\n", []string{"nodes[0].deviceClasses[0].volumeGroup", `"vg0"`}},
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
			if strings.Contains(err.Error(), "agent.") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q speaks of Go types, or is of several lines", err)
			}
		})
	}
}

func TestConfigSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	source := &configSource{path: path}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !source.refresh() {
		t.Error("a missing file is no news")
	}
	if config, err := source.current(); err == nil || len(config.VolumeGroups) != 0 {
		t.Errorf("without a file: %+v, %v", config, err)
	}
	write(oneClass)
	if !source.refresh() || source.refresh() {
		t.Error("a new file is news once")
	}
	write("nonsense: true\n")
	if !source.refresh() || source.refresh() {
		t.Error("a bad file is news once")
	}
	if config, err := source.current(); err == nil || len(config.VolumeGroups) != 1 {
		t.Errorf("after a bad file: %+v, %v; want the last good one and the reason", config, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	source.refresh()
	write("nonsense: true\n")
	source.refresh()
	write(oneClass)
	source.refresh()
	if config, err := source.current(); err != nil || len(config.VolumeGroups) != 1 {
		t.Errorf("after a good file: %+v, %v", config, err)
	}
}
