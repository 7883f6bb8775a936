package nodeos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	// imageNamespace is where the kubelet looks for images.
	imageNamespace = "k8s.io"
)

// containerdConfig leaves out what needs a registry or a daemon of its own.
const containerdConfig = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.grpc.v1.introspection-tracing"]

[grpc]
  address = %q

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = %q

[plugins.'io.containerd.cri.v1.runtime']
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = %q
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
`

func (n *node) startContainerd() error {
	const config = "/run/containerd-config.toml"
	if err := os.WriteFile(config, fmt.Appendf(nil, containerdConfig, containerdSocket, n.boot.SandboxImage, podNetworkDir), 0o644); err != nil {
		return err
	}
	// containerd finds its shim on PATH.
	for _, name := range []string{"containerd-shim-runc-v2", "ctr"} {
		if err := link(n.boot.Programs[name], "/usr/local/bin/"+name); err != nil {
			return err
		}
	}
	var err error
	n.containerd, err = startDaemon("containerd", n.boot.Programs["containerd"], n.logFile("containerd"), "--config", config)
	if err != nil {
		return err
	}
	return waitFor("containerd", time.Minute, func(ctx context.Context) bool {
		_, err := os.Stat(containerdSocket)
		return err == nil && exec.CommandContext(ctx, "ctr", "version").Run() == nil
	})
}

func link(target, path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// importImages loads every archive in the directory of images.
func (n *node) importImages() error {
	archives, err := filepath.Glob(filepath.Join(n.boot.Images, "*.tar"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if err := run("ctr", "--namespace", imageNamespace, "images", "import", "--all-platforms", archive); err != nil {
			return err
		}
	}
	return nil
}

// finishBaseDisk leaves a clean file system behind.
func (n *node) finishBaseDisk() error {
	output, err := exec.Command("ctr", "--namespace", imageNamespace, "images", "list", "--quiet").Output()
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	say("images on the base disk: %s", strings.Join(strings.Fields(string(output)), " "))
	n.containerd.stop()
	for _, target := range kept {
		if err := unix.Unmount(target, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", target, err)
		}
	}
	if err := unix.Unmount(stateMount, 0); err != nil {
		return fmt.Errorf("unmount %s: %w", stateMount, err)
	}
	say(PreparedMessage)
	return nil
}

// PreparedMessage on the console says that a base disk is complete.
const PreparedMessage = "base disk complete"
