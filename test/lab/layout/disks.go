package layout

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Disk is one disk of a node.
type Disk struct {
	// Device is the path inside the node.
	Device string
	// File is the name of the backing file in the node's directory.
	File string
	// SizeBytes is the size of the disk.
	SizeBytes int64
	// VolumeGroup is the group that it belongs to; empty for a spare disk.
	VolumeGroup string
}

// Disks lists the node's disks behind the one that holds the node's own state, in device order.
func (n Node) Disks() []Disk {
	var disks []Disk
	add := func(group string, size int64) {
		letter := string(rune('b' + len(disks)))
		disks = append(disks, Disk{Device: "/dev/ubd" + letter, File: "disk-" + letter + ".img", SizeBytes: size, VolumeGroup: group})
	}
	for _, group := range n.VolumeGroups {
		for _, size := range group.DiskBytes {
			add(group.Name, size)
		}
	}
	for _, size := range n.SpareDisks {
		add("", size)
	}
	return disks
}

// ParseVolumeGroup reads NODE=GROUP:SIZE[+SIZE...], for example "node1=data:10Gi+4Gi". NODE may be "*".
func ParseVolumeGroup(text string) (node string, group VolumeGroup, err error) {
	node, rest, ok := strings.Cut(text, "=")
	name, sizes, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || node == "" || name == "" {
		return "", VolumeGroup{}, fmt.Errorf("volume group %q: want NODE=GROUP:SIZE[+SIZE...], as in node1=data:10Gi+4Gi", text)
	}
	group.Name = name
	if group.DiskBytes, err = parseSizes(sizes); err != nil {
		return "", VolumeGroup{}, fmt.Errorf("volume group %q: %w", text, err)
	}
	return node, group, nil
}

// ParseSpareDisks reads NODE=SIZE[+SIZE...]. NODE may be "*".
func ParseSpareDisks(text string) (node string, sizes []int64, err error) {
	node, rest, ok := strings.Cut(text, "=")
	if !ok || node == "" {
		return "", nil, fmt.Errorf("spare disk %q: want NODE=SIZE[+SIZE...], as in node1=5Gi", text)
	}
	if sizes, err = parseSizes(rest); err != nil {
		return "", nil, fmt.Errorf("spare disk %q: %w", text, err)
	}
	return node, sizes, nil
}

func parseSizes(text string) ([]int64, error) {
	var sizes []int64
	for _, part := range strings.Split(text, "+") {
		size, err := ParseSize(part)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// sizeUnits are the suffixes of Kubernetes quantities that make sense for disks.
var sizeUnits = map[string]int64{"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "M": 1e6, "G": 1e9, "T": 1e12}

// ParseSize reads a disk size such as 512Mi or 10Gi, in bytes. A disk is a multiple of 512 bytes and at least 8 MiB,
// the least that holds LVM's own data and an extent.
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGTi")
	unit, ok := sizeUnits[text[len(digits):]]
	count, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || count <= 0 || count > math.MaxInt64/unit {
		return 0, fmt.Errorf("size %q: want a whole number with Ki, Mi, Gi or Ti", text)
	}
	size := count * unit
	if size%512 != 0 || size < 8<<20 {
		return 0, fmt.Errorf("size %q: want at least 8Mi and a multiple of 512 bytes", text)
	}
	return size, nil
}

// NewNodes makes count nodes called node1, node2 and so on, and gives them the groups and spare disks, which are
// written as ParseVolumeGroup and ParseSpareDisks say. A node that appears only in those is an error.
func NewNodes(count int, groups, spares []string) ([]Node, error) {
	nodes := make([]Node, count)
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf("node%d", i+1)
	}
	for _, text := range groups {
		name, group, err := ParseVolumeGroup(text)
		if err != nil {
			return nil, err
		}
		if err := eachNode(nodes, name, func(n *Node) { n.VolumeGroups = append(n.VolumeGroups, group) }); err != nil {
			return nil, err
		}
	}
	for _, text := range spares {
		name, sizes, err := ParseSpareDisks(text)
		if err != nil {
			return nil, err
		}
		if err := eachNode(nodes, name, func(n *Node) { n.SpareDisks = append(n.SpareDisks, sizes...) }); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func eachNode(nodes []Node, name string, change func(*Node)) error {
	found := false
	for i := range nodes {
		if name == "*" || nodes[i].Name == name {
			change(&nodes[i])
			found = true
		}
	}
	switch {
	case found:
		return nil
	case len(nodes) == 0:
		return fmt.Errorf("volume groups or disks for node %q: the cluster has no nodes", name)
	}
	return fmt.Errorf("no node is called %q; there are node1 to node%d", name, len(nodes))
}
