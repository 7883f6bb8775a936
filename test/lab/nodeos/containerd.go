package nodeos

import (
	"fmt"
	"net"
	"os"
	"time"
)

const containerdSocket = "/run/containerd/containerd.sock"

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
  # Each collection asks every pod's shim; the default, once a second, is a fifth of an idle node's time.
  stats_collect_period = "10s"
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
	if err := startDaemon("containerd", n.boot.Programs["containerd"], n.logFile("containerd"), "--config", config); err != nil {
		return err
	}
	return waitSocket(containerdSocket, time.Minute)
}

func link(target, path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// waitSocket returns when somebody answers. containerd listens once it is ready.
func waitSocket(path string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %s: %w", limit, err)
		}
	}
}
