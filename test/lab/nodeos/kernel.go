package nodeos

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/layout"
)

// modules are loaded at start. Device-mapper targets are asked for by name when LVM needs them, but the kernel
// calls modprobe for that, and each call costs a process: those of every volume are loaded here.
var modules = []string{"dm-mod", "dm-snapshot", "dm-thin-pool", "dm-raid", "dm-crypt", "loop", "veth", "bridge", "configs"}

func setUpKernel(boot layout.Boot) error {
	if err := linkModules(boot); err != nil {
		return err
	}
	if err := run("modprobe", append([]string{"-a"}, modules...)...); err != nil {
		return err
	}
	if err := addProcessorClock(); err != nil {
		return err
	}
	if err := raiseLimits(); err != nil {
		return err
	}
	return enableControllers()
}

func linkModules(boot layout.Boot) error {
	if err := os.MkdirAll("/lib/modules", 0o755); err != nil {
		return err
	}
	link := "/lib/modules/" + kernelRelease()
	if _, err := os.Lstat(link); err == nil {
		return nil
	}
	return os.Symlink(moduleDirectory(boot), link)
}

// addProcessorClock gives /proc/cpuinfo the line that the kubelet's machine information needs.
func addProcessorClock() error {
	const path, copied = "/proc/cpuinfo", "/run/cpuinfo"
	content, err := os.ReadFile(path)
	if err != nil || bytes.Contains(content, []byte("cpu MHz")) {
		return err
	}
	changed := strings.ReplaceAll(string(content), "bogomips", "cpu MHz\t\t: 2000.000\nbogomips")
	if err := os.WriteFile(copied, []byte(changed), 0o444); err != nil {
		return err
	}
	if err := unix.Mount(copied, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	return nil
}

func raiseLimits() error {
	limit := unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}

// enableControllers hands the controllers to child groups. Every process stays in the root group: with kernel
// threads moved elsewhere first, enabling cpu fails.
func enableControllers() error {
	const file = "/sys/fs/cgroup/cgroup.subtree_control"
	return os.WriteFile(file, []byte("+cpu +io +memory +pids"), 0)
}
