package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child in a process group of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	// ended closes when the child and its whole group are gone; err is set before.
	ended chan struct{}
	err   error
}

// command describes a child.
type command struct {
	name string
	path string
	args []string
	dir  string
	env  []string
	// log is appended to.
	log string
	// pinned runs the child on one processor, the one of this number among those that the supervisor may use, counted
	// round.
	pinned bool
	number int
}

func start(c command) (*process, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	run := cmd.Start
	if c.pinned {
		run = func() error { return onProcessor(c.number, cmd.Start) }
	}
	if err := run(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p := &process{name: c.name, cmd: cmd, ended: make(chan struct{})}
	go p.watch()
	return p, nil
}

// onProcessor calls start in a thread that may use one processor only, which the child inherits.
func onProcessor(number int, start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("read the processors: %w", err)
	}
	one.Set(nth(&all, number%all.Count()))
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("pin to a processor: %w", err)
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, &all))
}

// nth is the number of the set's n-th processor, counted from 0; the set has more than n.
func nth(set *unix.CPUSet, n int) int {
	for cpu := 0; ; cpu++ {
		if set.IsSet(cpu) {
			if n == 0 {
				return cpu
			}
			n--
		}
	}
}

func (p *process) watch() {
	p.err = p.cmd.Wait()
	// Orphans of the group are now the supervisor's children, as it is the first process of the PID namespace.
	group := -p.cmd.Process.Pid
	_ = unix.Kill(group, unix.SIGKILL)
	for {
		_, err := unix.Wait4(group, nil, 0, nil)
		if err != nil && err != unix.EINTR {
			break
		}
	}
	close(p.ended)
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the group at once and returns when nothing of it is left.
func (p *process) kill() {
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	<-p.ended
}

// stop asks the process to end, and kills it when it has not after the limit.
func (p *process) stop(limit time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.kill()
	}
}

// service is a process that is started again when it ends by itself.
type service struct {
	mu      sync.Mutex
	command command
	// patience is the time from asking the process to end until it is killed.
	patience time.Duration
	process  *process
	wanted   bool
}

const restartDelay = time.Second

func (s *service) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted {
		return nil
	}
	p, err := start(s.command)
	if err != nil {
		return err
	}
	s.process, s.wanted = p, true
	go s.watch(p)
	return nil
}

func (s *service) watch(p *process) {
	for {
		<-p.ended
		time.Sleep(restartDelay)
		s.mu.Lock()
		if !s.wanted || s.process != p {
			s.mu.Unlock()
			return
		}
		say("%s ended: %v; starting it again", s.command.name, p.err)
		next, err := start(s.command)
		if err != nil {
			say("%v", err)
			s.wanted = false
			s.mu.Unlock()
			return
		}
		s.process, p = next, next
		s.mu.Unlock()
	}
}

// stop ends the process for good, until start.
func (s *service) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted {
		return
	}
	s.wanted = false
	s.process.stop(s.patience)
}

func (s *service) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.wanted:
		return StateStopped
	case !s.process.running():
		return StateRestarting
	}
	return StateRunning
}
