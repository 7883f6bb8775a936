package controlplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// tailBytes is how much of a log is shown.
const tailBytes = 6000

// Process is a running program.
type Process struct {
	name, log string
	cmd       *exec.Cmd
	ended     <-chan struct{}
}

// Run starts a program, whose output goes to the file name.log in dir.
// Errors: those of starting it.
func Run(dir, name, program string, args ...string) (*Process, error) {
	path := filepath.Join(dir, name+".log")
	log, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The signal comes when the starting thread ends, not the process: the thread is kept until then.
		runtime.LockOSThread()
		defer close(ended)
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			// It is killed: there is no exit status of interest.
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return &Process{name: name, log: path, cmd: cmd, ended: ended}, nil
}

// PID is the program's process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill is kill -9. It returns when the program has ended, and may be called more than once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Tail is the end of the program's log, under its name.
func (p *Process) Tail() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		content = []byte(err.Error())
	}
	return fmt.Sprintf("end of %s.log:\n%s\n", p.name, content[max(0, len(content)-tailBytes):])
}

// await calls ready until it has no error; it gives up when time is up or the program has ended.
func (p *Process) await(ctx context.Context, limit time.Duration, what string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it was %s", p.name, what)
		case <-ctx.Done():
			return fmt.Errorf("%s not %s within %v: %w", p.name, what, limit, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
