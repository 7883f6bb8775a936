package prepare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/berth-dev/berth/test/lab/image"
)

// storeConfig starts only what keeps images.
const storeConfig = `version = 3
root = %q
state = %q
disabled_plugins = [
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt",
]

[grpc]
  address = %q
`

// fillStore makes a containerd store with the images in the directory store. It runs containerd on this machine in a
// mount namespace of its own.
func fillStore(ctx context.Context, store string, images []image.Image, programs map[string]string) error {
	// The death signal comes when the starting thread ends, so this goroutine keeps its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Socket addresses are short, so the directory is not in the cache.
	dir, err := os.MkdirTemp("", "berth-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket, config := filepath.Join(dir, "containerd.sock"), filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, storeConfig, store, filepath.Join(dir, "state"), socket), 0o600); err != nil {
		return err
	}
	var log bytes.Buffer
	daemon := exec.CommandContext(ctx, programs["containerd"], "--config", config)
	daemon.Stdout, daemon.Stderr = &log, &log
	daemon.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	daemon.Cancel = func() error { return daemon.Process.Signal(syscall.SIGTERM) }
	if err := daemon.Start(); err != nil {
		return err
	}
	err = waitSocket(ctx, socket)
	if err == nil {
		err = importAll(ctx, socket, images, programs["ctr"])
	}
	// The database is complete once the daemon has ended.
	if signalErr := daemon.Process.Signal(syscall.SIGTERM); signalErr != nil {
		err = errors.Join(err, signalErr)
	}
	// Its exit code says nothing: it is 1 after a signal.
	_ = daemon.Wait()
	if err != nil {
		return fmt.Errorf("%w; containerd's log:\n%s", err, log.String())
	}
	return nil
}

// socketLimit bounds containerd's start.
const socketLimit = 30 * time.Second

func waitSocket(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, socketLimit)
	defer cancel()
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("containerd does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// importAll streams the archive: it is as large as all images together.
func importAll(ctx context.Context, socket string, images []image.Image, ctr string) error {
	cmd := exec.CommandContext(ctx, ctr, "--address", socket, "--namespace", "k8s.io", "images", "import", "--all-platforms", "-")
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return err
	}
	err = errors.Join(image.WriteArchive(input, images, nil), input.Close())
	err = errors.Join(cmd.Wait(), err)
	if err != nil {
		return fmt.Errorf("import images: %w: %s", err, strings.TrimSpace(output.String()))
	}
	return nil
}
