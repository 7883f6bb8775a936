package nodeos

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/berth-dev/berth/test/lab/layout"
)

// services brings the node up and keeps it up. It returns only when it cannot go on.
func services(path string) error {
	var boot layout.Boot
	if err := layout.ReadJSON(path, &boot); err != nil {
		return err
	}
	n := &node{boot: boot}
	if err := runSteps(n.steps()); err != nil {
		return err
	}
	select {}
}

// node is the running node.
type node struct{ boot layout.Boot }

// step is one part of the start.
type step struct {
	name string
	do   func() error
}

func (n *node) steps() []step {
	return []step{
		{"kernel", func() error { return setUpKernel(n.boot) }},
		{"network", n.setUpNetwork},
		{"exec server", n.startExecServer},
		{"containerd", n.startContainerd},
		{"volume groups", n.setUpVolumeGroups},
		{"kubelet", n.startKubelet},
	}
}

func runSteps(steps []step) error {
	started := time.Now()
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		say("%s ready after %.1f s", step.name, time.Since(started).Seconds())
	}
	return nil
}

// run executes a command whose output matters only when it fails.
func run(name string, args ...string) error {
	output, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// logFile returns the host's file for a program's output.
func (n *node) logFile(name string) string { return filepath.Join(n.boot.Shared, name+".log") }
