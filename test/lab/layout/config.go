package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// Limits of a cluster.
const (
	// MaxNodes is set by the addresses: one /24 of nodes, one pod subnet each.
	MaxNodes = 200
	// MaxDisks is the number of disks of one node: the block driver has 16 and one is the node's own.
	MaxDisks = 15
	// minMemoryMiB is what containerd, kubelet and a few pods need.
	minMemoryMiB = 512
)

// Config describes a cluster. It is written once, when the cluster is made.
type Config struct {
	// Name tells clusters of one user apart.
	Name string
	// Nodes are the workers, in the order of their addresses.
	Nodes []Node
	// MemoryMiB is each node's memory; the host commits it only as it is used.
	MemoryMiB int
	// NodeMonitorGrace is the silence after which a node counts as lost.
	NodeMonitorGrace time.Duration
	// EvictionDelay is how long pods stay bound to a lost node by default.
	EvictionDelay time.Duration
	// VolumeStatsPeriod is how often kubelets measure volumes.
	VolumeStatsPeriod time.Duration
	// LogVerbosity is the -v of the control plane's programs and of kubelets.
	LogVerbosity int
	// StorageSuite makes nodes and the Bin directory hold what Kubernetes' own storage suite needs besides.
	StorageSuite bool
	// Programs is where built programs are found: program name to path.
	Programs map[string]string
	// BaseDisk is the prepared disk under each node's own disk.
	BaseDisk string
	// Kernel is the directory of the nodes' kernel, empty for the machine's own user-mode Linux.
	Kernel string
	// SandboxImage is the image of pods' infrastructure containers.
	SandboxImage string
	// ExecToken is what a node asks of callers that want to run commands.
	ExecToken string
}

// Node is one worker.
type Node struct {
	// Name is the Kubernetes node name and the host name.
	Name string
	// VolumeGroups are made at the node's first start.
	VolumeGroups []VolumeGroup
	// SpareDisks are sizes in bytes of disks that stay empty.
	SpareDisks []int64
}

// VolumeGroup is a volume group of a node.
type VolumeGroup struct {
	Name string
	// DiskBytes are the sizes of its physical volumes.
	DiskBytes []int64
}

// DefaultConfig returns the settings that Config's zero values do not give.
func DefaultConfig(name string) Config {
	return Config{
		Name:              name,
		MemoryMiB:         1500,
		NodeMonitorGrace:  20 * time.Second,
		EvictionDelay:     30 * time.Second,
		VolumeStatsPeriod: 5 * time.Second,
		LogVerbosity:      2,
	}
}

var (
	clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	nodeName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)
	groupName   = regexp.MustCompile(`^[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]{0,126}$`)
)

// Validate returns every mistake it finds.
func (c Config) Validate() error {
	var errs []error
	if !clusterName.MatchString(c.Name) {
		errs = append(errs, fmt.Errorf("cluster name %q: want up to 40 lower-case letters, digits and hyphens", c.Name))
	}
	if len(c.Nodes) > MaxNodes {
		errs = append(errs, fmt.Errorf("%d nodes: at most %d have an address", len(c.Nodes), MaxNodes))
	}
	if c.MemoryMiB < minMemoryMiB {
		errs = append(errs, fmt.Errorf("memory of %d MiB: a node needs at least %d", c.MemoryMiB, minMemoryMiB))
	}
	seen := map[string]bool{}
	for _, node := range c.Nodes {
		if seen[node.Name] {
			errs = append(errs, fmt.Errorf("node %q is named twice", node.Name))
		}
		seen[node.Name] = true
		errs = append(errs, node.validate())
	}
	return errors.Join(errs...)
}

func (n Node) validate() error {
	if !nodeName.MatchString(n.Name) || strings.Contains(n.Name, "..") {
		return fmt.Errorf("node name %q: want a DNS name in lower case, up to 63 characters as a label holds it", n.Name)
	}
	disks := len(n.SpareDisks)
	seen := map[string]bool{}
	for _, group := range n.VolumeGroups {
		if !groupName.MatchString(group.Name) {
			return fmt.Errorf("node %s: %q is no volume group name", n.Name, group.Name)
		}
		if seen[group.Name] {
			return fmt.Errorf("node %s: volume group %s is given twice", n.Name, group.Name)
		}
		seen[group.Name] = true
		disks += len(group.DiskBytes)
	}
	if disks > MaxDisks {
		return fmt.Errorf("node %s: %d disks, and a node has room for %d", n.Name, disks, MaxDisks)
	}
	return nil
}

// Index returns the position of the node called name.
func (c Config) Index(name string) (int, bool) {
	for i, node := range c.Nodes {
		if node.Name == name {
			return i, true
		}
	}
	return 0, false
}

// Program returns the path of a built program.
func (c Config) Program(name string) string { return c.Programs[name] }

// ReadJSON fills value from a file.
func ReadJSON(path string, value any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, value); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// WriteJSON replaces the file at path; only the user can read it.
func WriteJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, append(content, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
