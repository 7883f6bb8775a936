package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/berth-dev/berth/test/lab/layout"
)

// User-mode Linux as Debian installs it.
const (
	ownProgram = "/usr/bin/linux.uml"
	ownModules = "/usr/lib/uml/modules"
)

// loader is the name by which a kernel that is not the machine's own finds its loader in the directory it starts in.
const loader = "ld.so"

// ErrRunning is the error of starting a node that runs.
var ErrRunning = errors.New("the node is running")

// machine is one node: a kernel that runs as a process, and its disks.
type machine struct {
	state  layout.State
	config layout.Config
	index  int

	mu      sync.Mutex
	process *process
}

func (m *machine) node() layout.Node { return m.config.Nodes[m.index] }

func (m *machine) dir() layout.NodeDir { return m.state.Node(m.node().Name) }

// prepare makes the node's directory and empty disks.
func (m *machine) prepare() error {
	if err := os.MkdirAll(m.dir().Shared(), 0o755); err != nil {
		return err
	}
	for _, disk := range m.node().Disks() {
		if err := makeDisk(filepath.Join(string(m.dir()), disk.File), disk.SizeBytes); err != nil {
			return err
		}
	}
	modules := ownModules
	if m.config.Kernel != "" {
		modules = filepath.Join(m.config.Kernel, "modules")
		link := filepath.Join(string(m.dir()), loader)
		if err := os.Symlink(filepath.Join(m.config.Kernel, loader), link); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return layout.WriteJSON(m.dir().Boot(), layout.Boot{
		Name: m.node().Name, Index: m.index, Disks: m.node().Disks(),
		Programs: m.config.Programs, Modules: modules, SandboxImage: m.config.SandboxImage,
		Shared: m.dir().Shared(), PKI: m.state.PKI(""), ExecToken: m.config.ExecToken,
		VolumeStatsPeriod: m.config.VolumeStatsPeriod.String(), LogVerbosity: m.config.LogVerbosity,
	})
}

// makeDisk makes a sparse file.
func makeDisk(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Truncate(size)
}

// start is the power switch. ErrRunning if the node runs.
func (m *machine) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil && m.process.running() {
		return ErrRunning
	}
	args := kernelArgs(m.state.Lab(), m.dir().Boot(), m.config.MemoryMiB,
		"ubda="+layout.StateDisk+","+m.config.BaseDisk)
	for _, disk := range m.node().Disks() {
		args = append(args, filepath.Base(disk.Device)+"="+disk.File)
	}
	args = append(args, fmt.Sprintf("vec0:transport=tap,ifname=%s,mac=%s,depth=128,gro=1",
		layout.TapName(m.index), layout.HardwareAddress(m.index)))
	program, environment := m.kernel()
	p, err := start(command{
		name: m.node().Name, path: program, args: args, dir: string(m.dir()),
		env: environment, log: m.dir().Console(),
		// The kernel and what it runs are host processes that hand over to each other at every system call. Across
		// processors each such turn wakes an idle one, which makes an exec in the node eight times slower.
		pinned: true, number: m.index,
	})
	m.process = p
	return err
}

// kernelArgs returns the kernel command line that starts the lab program at init with a Boot record.
func kernelArgs(init, boot string, memoryMiB int, more ...string) []string {
	args := []string{
		"rootfstype=hostfs", "rw", fmt.Sprintf("mem=%dM", memoryMiB), "init=" + init,
		"con=null", "con0=null,fd:1", "quiet", "seccomp=auto", "selinux=0", "apparmor=0", "panic=-1",
		layout.BootVariable + "=" + boot,
	}
	return append(args, more...)
}

// kernel returns the kernel's program and environment: its own small files go to the node's directory instead of the
// user's home.
func (m *machine) kernel() (program string, environment []string) {
	environment = []string{"HOME=" + string(m.dir())}
	if m.config.Kernel == "" {
		return ownProgram, environment
	}
	return filepath.Join(m.config.Kernel, "linux.uml"), append(environment, "LD_LIBRARY_PATH="+filepath.Join(m.config.Kernel, "lib"))
}

// powerCut ends the kernel without notice: what it had not written to its disks is lost.
func (m *machine) powerCut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		m.process.kill()
	}
}

func (m *machine) status() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil && m.process.running() {
		return StateRunning
	}
	return StateStopped
}
