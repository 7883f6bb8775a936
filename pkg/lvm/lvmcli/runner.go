package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
	"k8s.io/klog/v2"
)

// runner starts LVM, one process per call.
type runner struct {
	binary  string
	observe Observer
}

// invocation is one process: a command's arguments, or lines for LVM's shell.
type invocation struct {
	// label is the command in metrics, logs and errors.
	label     string
	arguments []string
	// lines are fed to the shell on standard input; arguments are empty then.
	lines []string
}

// result is what an LVM process that ended said.
type result struct {
	stdout, stderr string
	code           int
	// signalled is true when the process ended by a signal, and nothing is known of what it had done.
	signalled bool
}

// execution is a process under way. After done is closed, result and err are there.
type execution struct {
	command        *exec.Cmd
	stdout, stderr *os.File
	done           chan struct{}
	result         result
	err            error
}

// report runs a command that changes nothing. It is killed with its children when ctx ends; the call does not wait
// for its death, which a hung disk can put off for ever.
func (r *runner) report(ctx context.Context, inv invocation) (result, error) {
	started := time.Now()
	e, err := r.start(inv)
	if err != nil {
		return result{}, err
	}
	select {
	case <-e.done:
		r.ended(ctx, inv, e, time.Since(started))
		return e.result, e.err
	case <-ctx.Done():
		r.observe(inv.label, "killed", time.Since(started))
		killErr := syscall.Kill(-e.command.Process.Pid, syscall.SIGKILL)
		return result{}, errors.Join(fmt.Errorf("lvm %s: %w", inv.label, ctx.Err()), killErr)
	}
}

// change runs a command that changes something. When ctx ends first the command goes on, and ErrHung is returned.
// release is called when the command has ended, or was not started.
func (r *runner) change(ctx context.Context, inv invocation, release func(result)) (result, error) {
	started := time.Now()
	e, err := r.start(inv)
	if err != nil {
		release(result{})
		return result{}, err
	}
	select {
	case <-e.done:
		r.ended(ctx, inv, e, time.Since(started))
		release(e.result)
		return e.result, e.err
	case <-ctx.Done():
		r.observe(inv.label, "hung", time.Since(started))
		logger := klog.FromContext(ctx)
		go func() {
			<-e.done
			logger.Info("LVM command ended after its deadline", "command", inv.label, "code", e.result.code,
				"duration", time.Since(started), "stderr", e.result.stderr)
			release(e.result)
		}()
		return result{}, fmt.Errorf("lvm %s: %w (%w)", inv.label, lvm.ErrHung, ctx.Err())
	}
}

func (r *runner) ended(ctx context.Context, inv invocation, e *execution, duration time.Duration) {
	r.observe(inv.label, strconv.Itoa(e.result.code), duration)
	logger := klog.FromContext(ctx).V(4)
	if logger.Enabled() {
		command := strings.Join(append(inv.arguments, inv.lines...), " ")
		logger.Info("Ran LVM", "command", command, "code", e.result.code, "duration", duration,
			"stderr", e.result.stderr)
	}
}

// start starts the process in a process group of its own: a terminal's interrupt must not reach a change.
func (r *runner) start(inv invocation) (*execution, error) {
	e := &execution{command: exec.Command(r.binary, inv.arguments...), done: make(chan struct{})}
	e.command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1"}
	e.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := e.open(inv.lines)
	if err == nil {
		err = e.command.Start()
	}
	if input != nil {
		input.Close()
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("start lvm %s: %w", inv.label, err)
	}
	go e.wait()
	return e, nil
}

// open gives the process its three files. Input stays nil, and standard input /dev/null, without lines.
func (e *execution) open(lines []string) (input *os.File, err error) {
	if e.stdout, err = memoryFile("lvm-stdout", ""); err != nil {
		return nil, err
	}
	if e.stderr, err = memoryFile("lvm-stderr", ""); err != nil {
		return nil, err
	}
	e.command.Stdout, e.command.Stderr = e.stdout, e.stderr
	if len(lines) == 0 {
		return nil, nil
	}
	if input, err = memoryFile("lvm-stdin", strings.Join(lines, "\n")+"\n"); err != nil {
		return nil, err
	}
	e.command.Stdin = input
	return input, nil
}

func (e *execution) close() {
	for _, file := range []*os.File{e.stdout, e.stderr} {
		if file != nil {
			file.Close()
		}
	}
}

// wait reaps the process and reads what it wrote.
func (e *execution) wait() {
	defer close(e.done)
	defer e.close()
	err := e.command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.err = err
		return
	}
	e.result.code = e.command.ProcessState.ExitCode()
	e.result.signalled = e.result.code < 0
	var outErr, errErr error
	e.result.stdout, outErr = readAll(e.stdout)
	e.result.stderr, errErr = readAll(e.stderr)
	e.err = errors.Join(outErr, errErr)
}
