package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/prepare"
)

// LifelineFD is the read end of a pipe that the caller of up holds. Its end of file ends the cluster, unless the
// cluster was detached before.
const LifelineFD = 3

// Supervisor is the state of a running cluster.
type Supervisor struct {
	state    layout.State
	config   layout.Config
	plane    *controlPlane
	machines []*machine
	detached atomic.Bool

	// planeMu is held while the control plane changes.
	planeMu sync.Mutex

	mu       sync.Mutex
	apiReady bool
	failure  error
}

// Run is the whole life of a supervisor. It must be the first process of its namespaces.
func Run(state layout.State) error {
	if os.Getpid() != 1 {
		return errors.New("the supervisor must be the first process of its own PID namespace; use lab up")
	}
	s := &Supervisor{state: state}
	if err := layout.ReadJSON(state.Config(), &s.config); err != nil {
		return err
	}
	if err := os.Chdir(state.Dir()); err != nil {
		return err
	}
	if err := mountProc(); err != nil {
		return err
	}
	if err := setUpNetwork(len(s.config.Nodes)); err != nil {
		return err
	}
	s.plane = newControlPlane(state, s.config)
	for i := range s.config.Nodes {
		s.machines = append(s.machines, &machine{state: state, config: s.config, index: i})
	}
	// The cache keeps a disk while somebody has it open and locked.
	disk, err := prepare.HoldDisk(s.config.BaseDisk)
	if err != nil {
		return err
	}
	defer disk.Close()
	return s.serve()
}

// mountProc shows this PID namespace's processes instead of the host's.
func mountProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

func (s *Supervisor) serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go s.watchLifeline(stop)
	listener, err := listen()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler()}
	go func() {
		say("control interface ended: %v", server.Serve(listener))
		stop()
	}()
	go s.bringUp(ctx)
	<-ctx.Done()
	say("ending")
	// The kernel kills every process of the cluster when this one returns.
	return nil
}

func (s *Supervisor) watchLifeline(end func()) {
	lifeline := os.NewFile(LifelineFD, "lifeline")
	_, _ = io.Copy(io.Discard, lifeline)
	if !s.detached.Load() {
		say("the caller is gone")
		end()
	}
}

// bringUp starts the nodes beside the control plane: their kernels boot while it gets ready.
func (s *Supervisor) bringUp(ctx context.Context) {
	var group sync.WaitGroup
	for _, m := range s.machines {
		group.Go(func() {
			if err := errors.Join(m.prepare(), m.start()); err != nil {
				s.fail(fmt.Errorf("node %s: %w", m.node().Name, err))
			}
		})
	}
	if err := s.plane.start(ctx); err != nil {
		s.fail(err)
	} else {
		s.mu.Lock()
		s.apiReady = true
		s.mu.Unlock()
	}
	group.Wait()
}

func (s *Supervisor) fail(err error) {
	say("%v", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = errors.Join(s.failure, err)
}

func (s *Supervisor) status() Status {
	s.mu.Lock()
	status := Status{APIReady: s.apiReady, Components: map[string]string{}, Nodes: map[string]string{}}
	if s.failure != nil {
		status.Failure = s.failure.Error()
	}
	s.mu.Unlock()
	for name, service := range s.plane.services {
		status.Components[name] = service.state()
	}
	for _, m := range s.machines {
		status.Nodes[m.node().Name] = m.status()
	}
	return status
}

// say writes to the supervisor's log.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
