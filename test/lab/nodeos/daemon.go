package nodeos

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// daemon is a program that is started again when it ends.
type daemon struct {
	name string
	path string
	args []string
	log  *os.File
}

// restartDelay keeps a program that cannot start from taking the processor.
const restartDelay = time.Second

// startDaemon starts a program whose output is appended to the file log.
func startDaemon(name, path, log string, args ...string) error {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	d := &daemon{name: name, path: path, args: args, log: file}
	cmd, err := d.spawn()
	if err != nil {
		return err
	}
	go d.watch(cmd)
	return nil
}

func (d *daemon) spawn() (*exec.Cmd, error) {
	cmd := exec.Command(d.path, d.args...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", d.name, err)
	}
	return cmd, nil
}

// watch goes on until the node ends.
func (d *daemon) watch(cmd *exec.Cmd) {
	for {
		say("%s ended: %v", d.name, cmd.Wait())
		time.Sleep(restartDelay)
		var err error
		if cmd, err = d.spawn(); err != nil {
			say("%v", err)
			return
		}
	}
}
