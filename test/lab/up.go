package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/prepare"
	"github.com/berth-dev/berth/test/lab/toolchain"
)

// Options say what Up makes.
type Options struct {
	// Config is the cluster. Programs, BaseDisk, Kernel, SandboxImage and ExecToken are filled in.
	Config layout.Config
	// Repo is the root of a checkout; empty means the one that contains the working directory.
	Repo string
	// Manifests are kustomize directories that are applied in this order when the nodes are Ready. Without any, the
	// project's own images are neither built nor loaded.
	Manifests []string
	// Detach lets the cluster outlive the calling process. Otherwise it ends with it, even when that is killed.
	Detach bool
	// Progress is told what happens; nil means nobody is.
	Progress Progress
}

// readyLimit bounds the time from the start of the supervisor until all nodes are Ready.
const readyLimit = 10 * time.Minute

// Up makes a cluster, or returns the one of that name if it runs with the same settings, its images and manifests
// brought up to date. When Up fails or its context ends, nothing of a new cluster is left running.
func Up(ctx context.Context, options Options) (*Cluster, error) {
	if options.Progress == nil {
		options.Progress = func(string, ...any) {}
	}
	if err := options.Config.Validate(); err != nil {
		return nil, err
	}
	if err := errors.Join(checkHost(), installPackages(ctx, options.Progress)); err != nil {
		return nil, err
	}
	var err error
	if options.Repo, err = FindRepo(options.Repo); err != nil {
		return nil, err
	}
	state, err := stateOf(options.Config.Name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(state.Dir()), 0o700); err != nil {
		return nil, err
	}
	unlock, err := lockState(state)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return up(ctx, options, state)
}

// up does the work of Up. The caller holds the state's lock.
func up(ctx context.Context, options Options, state layout.State) (*Cluster, error) {
	maker, err := newMaker(options, state)
	if err != nil {
		return nil, err
	}
	if _, alive := supervisorOf(state); alive {
		return maker.refresh(ctx)
	}
	if err := maker.makeFiles(ctx); err != nil {
		return nil, err
	}
	defer maker.disk.Close()
	c, err := maker.startSupervisor()
	if err != nil {
		return nil, err
	}
	if err := maker.finish(ctx, c); err != nil {
		// The files stay: they tell what went wrong. The next up or down removes them.
		return nil, errors.Join(err, c.process.kill(), c.lifeline.Close())
	}
	return c, nil
}

// maker makes one cluster.
type maker struct {
	options  Options
	state    layout.State
	preparer *prepare.Preparer
	// disk is held until the supervisor holds it.
	disk *os.File
}

func newMaker(options Options, state layout.State) (*maker, error) {
	cache, err := layout.CacheRoot()
	if err != nil {
		return nil, err
	}
	preparer := &prepare.Preparer{Repo: options.Repo, Cache: cache, Progress: options.Progress}
	return &maker{options: options, state: state, preparer: preparer}, nil
}

// makeFiles fills a fresh state directory.
func (m *maker) makeFiles(ctx context.Context) error {
	if err := remove(m.state); err != nil {
		return err
	}
	programs, err := m.preparer.Programs(ctx, m.groups())
	if err != nil {
		return err
	}
	for _, dir := range []string{m.state.Bin(), filepath.Dir(m.state.Logs("x"))} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := linkHostPrograms(m.state.Bin(), programs); err != nil {
		return err
	}
	config := &m.options.Config
	config.Programs, config.SandboxImage, config.ExecToken = programs, prepare.PauseImage, rand.Text()
	if err := m.makeNodeFiles(ctx, config); err != nil {
		return err
	}
	if err := makePKI(m.state, *config); err != nil {
		return err
	}
	return layout.WriteJSON(m.state.Config(), config)
}

// groups are the programs that the cluster needs.
func (m *maker) groups() []toolchain.Group {
	if m.options.Config.StorageSuite {
		return append(toolchain.Groups(), toolchain.StorageSuiteGroups()...)
	}
	return toolchain.Groups()
}

// hostPrograms run on this machine, for people and for tests.
var hostPrograms = []string{"kubectl", "ginkgo", "e2e.test"}

// linkHostPrograms links those of them that were built.
func linkHostPrograms(dir string, programs map[string]string) error {
	for _, name := range hostPrograms {
		path, ok := programs[name]
		if !ok {
			continue
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// makeNodeFiles makes the lab program that nodes start with, and their disk.
func (m *maker) makeNodeFiles(ctx context.Context, config *layout.Config) error {
	unlock, err := m.preparer.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	lab, err := m.preparer.Compile(ctx, "./test/lab/cmd/lab")
	if err != nil {
		return err
	}
	if err := copyProgram(m.state.Lab(), lab); err != nil {
		return err
	}
	if m.disk, err = m.makeDisk(ctx, config.Programs); err != nil {
		return err
	}
	config.BaseDisk = m.disk.Name()
	config.Kernel, err = m.preparer.Kernel(ctx)
	return err
}

func copyProgram(target, source string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return os.WriteFile(target, content, 0o755)
}

// startSupervisor starts the first process of the cluster's namespaces.
func (m *maker) startSupervisor() (*Cluster, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	log, err := os.Create(m.state.Logs("supervisor"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(m.state.Lab(), SuperviseArgument, m.state.Dir())
	cmd.Dir = m.state.Dir()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the supervisor: %w", err), write.Close())
	}
	// Collects the process when it ends, so that it does not look alive as a zombie.
	go func() { _ = cmd.Wait() }()
	process, err := identify(cmd.Process.Pid)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the supervisor ended at once:\n%s", tail(m.state.Logs("supervisor"))), write.Close())
	}
	if err := layout.WriteJSON(m.state.Process(), process); err != nil {
		return nil, errors.Join(err, process.kill(), write.Close())
	}
	c, err := open(m.state, m.options.Config.Name)
	if err != nil {
		return nil, errors.Join(err, process.kill(), write.Close())
	}
	c.lifeline = write
	return c, nil
}

// SuperviseArgument makes the lab program supervise the state directory in its next argument.
const SuperviseArgument = "supervise"

// finish waits for the cluster and applies the manifests.
func (m *maker) finish(ctx context.Context, c *Cluster) error {
	progress := m.options.Progress
	progress("starting the control plane and %d nodes", len(c.config.Nodes))
	limited, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if err := c.waitAPI(limited); err != nil {
		return err
	}
	progress("control plane is ready")
	if err := c.WaitNodesReady(limited, progress); err != nil {
		return err
	}
	if err := c.waitServiceAccount(limited); err != nil {
		return err
	}
	if err := c.Apply(ctx, progress, m.options.Manifests...); err != nil {
		return err
	}
	if m.options.Detach {
		return c.Detach(ctx)
	}
	return nil
}

// ErrDifferent is the error of Up when a cluster of that name runs with other settings.
var ErrDifferent = errors.New("the cluster runs with other settings: remove it with lab down first")

// refresh brings a running cluster up to date with the checkout.
func (m *maker) refresh(ctx context.Context) (*Cluster, error) {
	c, err := open(m.state, m.options.Config.Name)
	if err != nil {
		return nil, err
	}
	want := m.options.Config
	want.Programs, want.BaseDisk, want.Kernel, want.SandboxImage, want.ExecToken =
		c.config.Programs, c.config.BaseDisk, c.config.Kernel, c.config.SandboxImage, c.config.ExecToken
	if !reflect.DeepEqual(want, c.config) {
		return nil, ErrDifferent
	}
	m.options.Progress("the cluster runs already; bringing its images and manifests up to date")
	changed, err := m.updateImages(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := c.WaitNodesReady(ctx, m.options.Progress); err != nil {
		return nil, err
	}
	if err := c.Apply(ctx, m.options.Progress, m.options.Manifests...); err != nil {
		return nil, err
	}
	if changed {
		return c, c.restartProduct(ctx, m.options.Progress)
	}
	return c, nil
}
