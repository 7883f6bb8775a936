package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// State is the directory of one cluster.
type State string

// StateRoot returns the directory that holds all clusters' directories.
func StateRoot() (string, error) {
	if dir := os.Getenv("BERTH_LAB_STATE"); dir != "" {
		return dir, nil
	}
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "berth", "lab"), nil
}

// CacheRoot returns the directory of built programs, images and disks.
func CacheRoot() (string, error) {
	base, err := os.UserCacheDir()
	return filepath.Join(base, "berth"), err
}

// NewState returns the directory of the cluster called name below root. The path travels on a kernel command line,
// so it must be free of spaces and commas.
func NewState(root, name string) (State, error) {
	path, err := filepath.Abs(filepath.Join(root, name))
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(path, " ,:\t\n\"'") {
		return "", fmt.Errorf("state directory %q: spaces, commas, colons and quotes cannot be used; set BERTH_LAB_STATE to another directory", path)
	}
	return State(path), nil
}

func (s State) join(parts ...string) string {
	return filepath.Join(append([]string{string(s)}, parts...)...)
}

// Dir returns the directory itself.
func (s State) Dir() string { return string(s) }

// Lock is the file that serializes up and down. It stands beside the directory, which comes and goes.
func (s State) Lock() string { return string(s) + ".lock" }

// Config is the file of the Config.
func (s State) Config() string { return s.join("config.json") }

// Process is the file of the supervisor's ProcessID.
func (s State) Process() string { return s.join("supervisor.json") }

// Socket is the supervisor's control socket.
func (s State) Socket() string { return s.join(SocketName) }

// SocketName is the control socket's name in the directory.
const SocketName = "control.sock"

// Lab is the copy of the lab program that supervises the cluster and runs as the nodes' init.
func (s State) Lab() string { return s.join("lab") }

// Bin is a directory for PATH with the programs in it that people and tests run on this machine.
func (s State) Bin() string { return s.join("bin") }

// Kubeconfig is the administrator's.
func (s State) Kubeconfig() string { return s.join("kubeconfig") }

// PKI returns a file of the certificate directory.
func (s State) PKI(name string) string { return s.join("pki", name) }

// Etcd is etcd's data directory.
func (s State) Etcd() string { return s.join("etcd") }

// EtcdSnapshot is the copy of etcd's data called name.
func (s State) EtcdSnapshot(name string) string { return s.join("etcd-snapshots", name) }

// ProductLayers is the file with the digests of the product's image layers that the nodes have.
func (s State) ProductLayers() string { return s.join("product-layers.json") }

// Logs returns the log file of a component of the control plane, or of the supervisor.
func (s State) Logs(component string) string { return s.join("logs", component+".log") }

// Node returns the directory of a node.
func (s State) Node(name string) NodeDir { return NodeDir(s.join("nodes", name)) }

// NodeDir is the directory of one node: seen under the same path by the host and, through hostfs, by the node.
type NodeDir string

func (d NodeDir) join(name string) string { return filepath.Join(string(d), name) }

// Boot is the file of the node's Boot record.
func (d NodeDir) Boot() string { return d.join("boot.json") }

// Console receives the kernel's and init's output.
func (d NodeDir) Console() string { return d.join("console.log") }

// Shared is the directory that the node writes to.
func (d NodeDir) Shared() string { return d.join("shared") }

// Logs returns the log file of a program of the node.
func (d NodeDir) Logs(program string) string { return filepath.Join(d.Shared(), program+".log") }

// StateDisk is the file name of the copy-on-write disk that holds the node's own state.
const StateDisk = "state.cow"

// Boot is what a node's init needs to know. It is read through hostfs.
type Boot struct {
	// Name is the node name.
	Name string
	// Index gives the addresses.
	Index int
	// Disks are the node's disks behind the first.
	Disks []Disk
	// Programs, as in Config.
	Programs map[string]string
	// Modules is the directory that has the kernel's modules by its release.
	Modules string
	// SandboxImage is the pause image.
	SandboxImage string
	// Shared is the directory for logs.
	Shared string
	// PKI is the directory of the certificates.
	PKI string
	// ExecToken, as in Config.
	ExecToken string
	// VolumeStatsPeriod is a duration as Go writes it.
	VolumeStatsPeriod string
	// LogVerbosity, as in Config.
	LogVerbosity int
}

// BootVariable is the environment variable that makes the lab program a node's init; its value is the path of the
// Boot record.
const BootVariable = "BERTH_LAB_BOOT"
