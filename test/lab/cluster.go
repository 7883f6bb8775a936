package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/nodeexec"
	"github.com/berth-dev/berth/test/lab/supervisor"
)

// Cluster is a running cluster. Its methods are safe for concurrent use.
type Cluster struct {
	state   layout.State
	config  layout.Config
	process processID
	control *supervisor.Client
	// lifeline is held by the caller of Up until Detach; nil for a cluster that was opened.
	lifeline *os.File
}

// Open returns the running cluster called name.
func Open(name string) (*Cluster, error) {
	state, err := stateOf(name)
	if err != nil {
		return nil, err
	}
	return open(state, name)
}

func stateOf(name string) (layout.State, error) {
	root, err := layout.StateRoot()
	if err != nil {
		return "", err
	}
	return layout.NewState(root, name)
}

func open(state layout.State, name string) (*Cluster, error) {
	process, alive := supervisorOf(state)
	if !alive {
		return nil, fmt.Errorf("cluster %s does not run: start it with lab up", name)
	}
	c := &Cluster{state: state, process: process, control: supervisor.NewClient(state)}
	return c, layout.ReadJSON(state.Config(), &c.config)
}

// Config returns the cluster's settings.
func (c *Cluster) Config() layout.Config { return c.config }

// State returns the cluster's directory.
func (c *Cluster) State() layout.State { return c.state }

// Kubeconfig returns the path of the administrator's kubeconfig. Its server is reachable with Dial, or for processes
// begun with Start.
func (c *Cluster) Kubeconfig() string { return c.state.Kubeconfig() }

// Status returns the state of components and nodes.
func (c *Cluster) Status(ctx context.Context) (supervisor.Status, error) {
	return c.control.Status(ctx)
}

// Kubectl runs kubectl and returns its standard output. The error holds standard error.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlInput(ctx, "", args...)
}

// KubectlInput is Kubectl with standard input.
func (c *Cluster) KubectlInput(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.config.Program("kubectl"), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := c.Run(cmd); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// NodeExec runs a command on a node, with streams, and returns its exit code. Cancelling the context kills it. With a
// terminal size, which may be nil, the command has a terminal.
func (c *Cluster) NodeExec(ctx context.Context, node string, streams nodeexec.Streams, terminal *nodeexec.Size, args ...string) (int, error) {
	index, ok := c.config.Index(node)
	if !ok {
		return 0, c.noNode(node)
	}
	conn, err := c.Dial(ctx, "tcp", fmt.Sprintf("%s:%d", layout.NodeAddress(index), layout.ExecPort))
	if err != nil {
		return 0, fmt.Errorf("reach node %s: %w", node, err)
	}
	code, err := nodeexec.Run(ctx, conn, nodeexec.Request{Token: c.config.ExecToken, Args: args, Terminal: terminal}, streams)
	if err != nil {
		return 0, fmt.Errorf("run %s on node %s: %w", args[0], node, err)
	}
	return code, nil
}

// Node runs a command on a node and returns its standard output. An exit code other than 0 is an error that holds
// standard error.
func (c *Cluster) Node(ctx context.Context, node string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	code, err := c.NodeExec(ctx, node, nodeexec.Streams{Out: &stdout, Err: &stderr}, nil, args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s on node %s: exit code %d: %s", strings.Join(args, " "), node, code, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}

func (c *Cluster) noNode(name string) error {
	var names []string
	for _, node := range c.config.Nodes {
		names = append(names, node.Name)
	}
	return fmt.Errorf("no node is called %q; there are: %s", name, strings.Join(names, ", "))
}

// PowerCut ends a node without notice: what its kernel had not written to its disks is lost.
func (c *Cluster) PowerCut(ctx context.Context, node string) error {
	return c.control.Do(ctx, supervisor.PathPowerCut, node)
}

// StartNode starts a node with the disks it had. It does not wait for the node to be Ready; see WaitNodesReady.
func (c *Cluster) StartNode(ctx context.Context, node string) error {
	return c.control.Do(ctx, supervisor.PathStartNode, node)
}

// StopControlPlane stops etcd and everything above it. Nodes go on running.
func (c *Cluster) StopControlPlane(ctx context.Context) error {
	return c.control.Do(ctx, supervisor.PathStopControlPlane, "")
}

// StartControlPlane starts it again and returns when the API server is ready.
func (c *Cluster) StartControlPlane(ctx context.Context) error {
	return c.control.Do(ctx, supervisor.PathStartControlPlane, "")
}

// StopComponent stops one of supervisor.Etcd, APIServer, ControllerManager and Scheduler.
func (c *Cluster) StopComponent(ctx context.Context, name string) error {
	return c.control.Do(ctx, supervisor.PathStopComponent, name)
}

// StartComponent starts one of them again.
func (c *Cluster) StartComponent(ctx context.Context, name string) error {
	return c.control.Do(ctx, supervisor.PathStartComponent, name)
}

// SnapshotEtcd copies etcd's data under the given name. The control plane stops for it and is ready again on return.
func (c *Cluster) SnapshotEtcd(ctx context.Context, name string) error {
	return c.control.Do(ctx, supervisor.PathSnapshotEtcd, name)
}

// RestoreEtcd puts such a copy back, as an administrator does after a loss.
func (c *Cluster) RestoreEtcd(ctx context.Context, name string) error {
	return c.control.Do(ctx, supervisor.PathRestoreEtcd, name)
}

// Detach lets the cluster outlive the caller.
func (c *Cluster) Detach(ctx context.Context) error {
	return c.control.Do(ctx, supervisor.PathDetach, "")
}
