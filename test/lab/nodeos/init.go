package nodeos

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/layout"
)

// servicesArgument makes the lab program run Services; it is not for people.
const servicesArgument = "node-services"

// Main runs the program's part inside a node when it is started there, and reports whether it did.
func Main() bool {
	path := os.Getenv(layout.BootVariable)
	switch {
	case path == "":
		return false
	case os.Getpid() == 1:
		initProcess(path)
	case len(os.Args) > 1 && os.Args[1] == servicesArgument:
		say("%v", services(path))
		os.Exit(1)
	default:
		return false
	}
	return true
}

// initProcess never returns: when it cannot go on it halts the machine, and the host sees the process end.
func initProcess(path string) {
	if err := becomeNode(path); err != nil {
		say("%v", err)
		halt()
	}
	child, err := startServices()
	if err != nil {
		say("%v", err)
		halt()
	}
	reap(child)
	halt()
}

func becomeNode(path string) error {
	if err := mountBasics(); err != nil {
		return err
	}
	var boot layout.Boot
	if err := layout.ReadJSON(path, &boot); err != nil {
		return err
	}
	if err := buildRoot(boot); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(boot.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	return nil
}

func startServices() (int, error) {
	cmd := exec.Command("/proc/self/exe", servicesArgument)
	cmd.Args[0] = "lab"
	cmd.Env = environment()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start services: %w", err)
	}
	return cmd.Process.Pid, nil
}

// environment is what every process of the node inherits.
func environment() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "TERM=linux", "LC_ALL=C.UTF-8",
		layout.BootVariable + "=" + os.Getenv(layout.BootVariable),
	}
}

// reap collects every process that ends, until the one with number child does. Orphans of the whole node arrive
// here.
func reap(child int) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			say("wait for processes: %v", err)
			return
		}
		if pid == child {
			return
		}
	}
}

func halt() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	// Power-off does not return; should it fail, the machine must not look alive.
	time.Sleep(time.Hour)
}

// say writes to the console.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "lab node: "+format+"\n", args...)
}
