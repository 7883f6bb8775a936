package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/berth-dev/berth/test/lab/supervisor"
)

// pollInterval is short: every wait here is on the way of a person or a test.
const pollInterval = 100 * time.Millisecond

// waitAPI returns when the supervisor has the API server ready.
func (c *Cluster) waitAPI(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		if !c.process.alive() {
			return false, fmt.Errorf("the cluster's supervisor ended early:\n%s", tail(c.state.Logs("supervisor")))
		}
		status, err := c.control.Status(ctx)
		if err != nil {
			return false, nil // its socket is not there yet
		}
		if status.Failure != "" {
			return false, errors.New(status.Failure)
		}
		return status.APIReady, nil
	})
}

// WaitNodesReady returns when all the named nodes, or all nodes when none is named, are Ready. A node that halts
// meanwhile is an error that holds the end of its console.
func (c *Cluster) WaitNodesReady(ctx context.Context, progress Progress, names ...string) error {
	if len(names) == 0 {
		for _, node := range c.config.Nodes {
			names = append(names, node.Name)
		}
	}
	client, err := c.HTTPClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	told := map[string]bool{}
	return poll(ctx, func() (bool, error) {
		if err := c.halted(ctx, names); err != nil {
			return false, err
		}
		ready, err := readyNodes(ctx, client)
		if err != nil {
			return false, nil // the API server may be restarting; the context bounds the wait
		}
		missing := 0
		for _, name := range names {
			if !ready[name] {
				missing++
			} else if !told[name] {
				told[name] = true
				progress("node %s is Ready", name)
			}
		}
		return missing == 0, nil
	})
}

// waitServiceAccount returns when pods can be made: until the controller manager has made the namespace's service
// account, the API server refuses them.
func (c *Cluster) waitServiceAccount(ctx context.Context) error {
	client, err := c.HTTPClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return poll(ctx, func() (bool, error) {
		var account struct{}
		return get(ctx, client, "/api/v1/namespaces/default/serviceaccounts/default", &account) == nil, nil
	})
}

// halted returns an error when one of the nodes does not run.
func (c *Cluster) halted(ctx context.Context, names []string) error {
	status, err := c.control.Status(ctx)
	if err != nil {
		return err
	}
	if status.Failure != "" {
		return errors.New(status.Failure)
	}
	for _, name := range names {
		if state, ok := status.Nodes[name]; ok && state != supervisor.StateRunning {
			return fmt.Errorf("node %s halted; its console ends with:\n%s", name, tail(c.state.Node(name).Console()))
		}
	}
	return nil
}

func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// tailLines is how much of a log goes into an error.
const tailLines = 30

func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// WaitNodeStarted returns when a node that was just started runs its kubelet and is Ready. The API server may still
// hold it for Ready from before a power cut: the node's boot ID tells the two apart.
func (c *Cluster) WaitNodeStarted(ctx context.Context, progress Progress, name string) error {
	if _, ok := c.config.Index(name); !ok {
		return c.noNode(name)
	}
	client, err := c.HTTPClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return poll(ctx, func() (bool, error) {
		if err := c.halted(ctx, []string{name}); err != nil {
			return false, err
		}
		running, err := c.Node(ctx, name, "cat", "/proc/sys/kernel/random/boot_id")
		if err != nil {
			return false, nil // not up yet
		}
		node, err := readNode(ctx, client, name)
		if err != nil || node.Status.NodeInfo.BootID != strings.TrimSpace(running) || !node.ready() {
			return false, nil
		}
		progress("node %s is Ready", name)
		return true, nil
	})
}
