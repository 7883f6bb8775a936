package layout

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	cases := map[string]struct {
		text string
		want int64
		err  string
	}{
		"gibibytes":        {text: "10Gi", want: 10 << 30},
		"mebibytes":        {text: "512Mi", want: 512 << 20},
		"bytes":            {text: "8388608", want: 8 << 20},
		"decimal":          {text: "1G", want: 1_000_000_000}, // 1953125 × 512
		"smallest":         {text: "8Mi", want: 8 << 20},
		"too small":        {text: "7Mi", err: "at least 8Mi"},
		"not whole blocks": {text: "8388609", err: "multiple of 512"},
		"empty":            {text: "", err: "whole number"},
		"unit alone":       {text: "Gi", err: "whole number"},
		"unknown unit":     {text: "1iG", err: "whole number"},
		"negative":         {text: "-1Gi", err: "whole number"},
		"fraction":         {text: "1.5Gi", err: "whole number"},
		"overflow":         {text: "9000000000Gi", err: "whole number"}, // 9e9 × 2^30 > 2^63
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseSize(c.text)
			checkError(t, err, c.err)
			if got != c.want {
				t.Errorf("ParseSize(%q) = %d, want %d", c.text, got, c.want)
			}
		})
	}
}

func TestParseVolumeGroup(t *testing.T) {
	cases := map[string]struct {
		text, node string
		group      VolumeGroup
		err        string
	}{
		"one disk":      {text: "node1=data:1Gi", node: "node1", group: VolumeGroup{Name: "data", DiskBytes: []int64{1 << 30}}},
		"two disks":     {text: "*=data:1Gi+16Mi", node: "*", group: VolumeGroup{Name: "data", DiskBytes: []int64{1 << 30, 16 << 20}}},
		"no node":       {text: "data:1Gi", err: "want NODE=GROUP"},
		"empty node":    {text: "=data:1Gi", err: "want NODE=GROUP"},
		"no group name": {text: "node1=:1Gi", err: "want NODE=GROUP"},
		"no size":       {text: "node1=data", err: "want NODE=GROUP"},
		"empty disk":    {text: "node1=data:1Gi+", err: `size ""`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			node, group, err := ParseVolumeGroup(c.text)
			checkError(t, err, c.err)
			if err == nil && (node != c.node || !reflect.DeepEqual(group, c.group)) {
				t.Errorf("got %q %+v, want %q %+v", node, group, c.node, c.group)
			}
		})
	}
}

func TestNewNodes(t *testing.T) {
	nodes, err := NewNodes(2, []string{"*=a:1Gi", "node2=b:8Mi+16Mi"}, []string{"node1=32Mi+64Mi"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Node{
		{Name: "node1", VolumeGroups: []VolumeGroup{{"a", []int64{1 << 30}}}, SpareDisks: []int64{32 << 20, 64 << 20}},
		{Name: "node2", VolumeGroups: []VolumeGroup{{"a", []int64{1 << 30}}, {"b", []int64{8 << 20, 16 << 20}}}},
	}
	if !reflect.DeepEqual(nodes, want) {
		t.Errorf("got %+v, want %+v", nodes, want)
	}
	_, err = NewNodes(2, []string{"node3=a:1Gi"}, nil)
	checkError(t, err, `no node is called "node3"; there are node1 to node2`)
	_, err = NewNodes(0, []string{"node1=a:1Gi"}, nil)
	checkError(t, err, "the cluster has no nodes")
}

func TestDisksNamesDevicesInOrder(t *testing.T) {
	node := Node{
		VolumeGroups: []VolumeGroup{{"a", []int64{1, 2}}, {"b", []int64{3}}},
		SpareDisks:   []int64{4},
	}
	want := []Disk{
		{"/dev/ubdb", "disk-b.img", 1, "a"}, {"/dev/ubdc", "disk-c.img", 2, "a"},
		{"/dev/ubdd", "disk-d.img", 3, "b"}, {"/dev/ubde", "disk-e.img", 4, ""},
	}
	if got := node.Disks(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestValidate(t *testing.T) {
	many := make([]int64, MaxDisks+1)
	cases := map[string]struct {
		change func(*Config)
		err    string
	}{
		"good":            {change: func(*Config) {}},
		"no nodes":        {change: func(c *Config) { c.Nodes = nil }},
		"long node name":  {change: func(c *Config) { c.Nodes[0].Name = strings.Repeat("n", 63) }},
		"longer":          {change: func(c *Config) { c.Nodes[0].Name = strings.Repeat("n", 64) }, err: "up to 63"},
		"bad name":        {change: func(c *Config) { c.Name = "Lab" }, err: "cluster name"},
		"name with slash": {change: func(c *Config) { c.Name = "../x" }, err: "cluster name"},
		"little memory":   {change: func(c *Config) { c.MemoryMiB = 100 }, err: "at least 512"},
		"same node twice": {change: func(c *Config) { c.Nodes = append(c.Nodes, c.Nodes[0]) }, err: "named twice"},
		"bad node name":   {change: func(c *Config) { c.Nodes[0].Name = "a/b" }, err: "DNS name"},
		"dots in a row":   {change: func(c *Config) { c.Nodes[0].Name = "a..b" }, err: "DNS name"},
		"too many disks":  {change: func(c *Config) { c.Nodes[0].SpareDisks = many }, err: "room for 15"},
		"same group":      {change: func(c *Config) { c.Nodes[0].VolumeGroups = []VolumeGroup{{Name: "a"}, {Name: "a"}} }, err: "given twice"},
		"bad group name":  {change: func(c *Config) { c.Nodes[0].VolumeGroups = []VolumeGroup{{Name: "-a"}} }, err: "no volume group name"},
		"too many nodes":  {change: func(c *Config) { c.Nodes = make([]Node, MaxNodes+1) }, err: "at most 200"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig("lab")
			config.Nodes = []Node{{Name: "node1"}}
			c.change(&config)
			checkError(t, config.Validate(), c.err)
		})
	}
}

func TestNewStateRefusesWhatAKernelCommandLineCannotCarry(t *testing.T) {
	for _, root := range []string{"/with space", "/with,comma", "/with:colon"} {
		if state, err := NewState(root, "lab"); err == nil {
			t.Errorf("NewState(%q) = %q, want an error", root, state)
		}
	}
	if state, err := NewState("/state", "lab"); err != nil || state.Dir() != "/state/lab" {
		t.Errorf("got %q, %v", state, err)
	}
}

func TestAddressesOfTheLastNode(t *testing.T) {
	if got := NodeAddress(MaxNodes - 1); got != "192.168.77.209" {
		t.Errorf("address %s", got)
	}
	if got := PodSubnet(MaxNodes - 1); got != "10.244.200.0/24" {
		t.Errorf("pod subnet %s", got)
	}
	if got := HardwareAddress(MaxNodes - 1); got != "02:be:4d:00:00:d1" { // 10 + 199 = 209 = 0xd1
		t.Errorf("hardware address %s", got)
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatalf("unexpected error: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Fatalf("error %v, want one with %q", err, want)
	}
}
