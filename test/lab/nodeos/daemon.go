package nodeos

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// daemon is a program that is started again when it ends.
type daemon struct {
	name string
	path string
	args []string
	log  *os.File

	mu      sync.Mutex
	cmd     *exec.Cmd
	stopped bool
	done    chan struct{}
}

// restartDelay keeps a program that cannot start from taking the processor.
const restartDelay = time.Second

// startDaemon starts a program whose output is appended to the file log.
func startDaemon(name, path, log string, args ...string) (*daemon, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	d := &daemon{name: name, path: path, args: args, log: file, done: make(chan struct{})}
	if err := d.spawn(); err != nil {
		return nil, err
	}
	go d.watch()
	return d, nil
}

// spawn does nothing once the daemon is stopped.
func (d *daemon) spawn() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return nil
	}
	d.cmd = exec.Command(d.path, d.args...)
	d.cmd.Env = environment()
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	return nil
}

func (d *daemon) watch() {
	defer close(d.done)
	for {
		err := d.cmd.Wait()
		d.mu.Lock()
		stopped := d.stopped
		d.mu.Unlock()
		if stopped {
			return
		}
		say("%s ended: %v", d.name, err)
		time.Sleep(restartDelay)
		if err := d.spawn(); err != nil {
			say("%v", err)
			return
		}
	}
}

// stop asks the program to end and waits until it has.
func (d *daemon) stop() {
	d.mu.Lock()
	d.stopped = true
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	d.mu.Unlock()
	<-d.done
}
