package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// inNamespace runs do on a thread that is in the cluster's network namespace. Sockets that do makes and processes
// that it starts stay there.
func (c *Cluster) inNamespace(do func() error) error {
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.process.PID))
	if err != nil {
		return fmt.Errorf("cluster %s does not run: %w", c.config.Name, err)
	}
	defer namespace.Close()
	result := make(chan error, 1)
	go func() {
		// The thread is never unlocked, so the runtime ends it with the goroutine instead of using it elsewhere.
		runtime.LockOSThread()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter the network of cluster %s: %w", c.config.Name, err)
			return
		}
		result <- do()
	}()
	return <-result
}

// Dial connects from inside the cluster's network namespace. The address must hold an IP address: there is no name
// service. It fits the Dial field of a client-go rest.Config.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := c.inNamespace(func() (err error) {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Start starts the command inside the cluster's network namespace, with KUBECONFIG set and kubectl on PATH.
func (c *Cluster) Start(cmd *exec.Cmd) error {
	cmd.Env = append(cmd.Environ(),
		"KUBECONFIG="+c.state.Kubeconfig(),
		"PATH="+c.state.Bin()+string(os.PathListSeparator)+os.Getenv("PATH"))
	return c.inNamespace(cmd.Start)
}

// Run starts the command as Start does and waits for it.
func (c *Cluster) Run(cmd *exec.Cmd) error {
	if err := c.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}
