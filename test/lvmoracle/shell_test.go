//go:build lab

package lvmoracle

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// config keeps LVM from waiting for udev, which a node does not have, from looking at other devices, and from backing up
// what is of no worth.
const config = `activation{udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0}` +
	` devices{obtain_device_list_from_udev=0 hints="none" use_devicesfile=0 scan=["/dev/mapper"]}` +
	` global{notify_dbus=0} backup{backup=0 archive=0}`

// shell is one process of LVM that is fed commands: thousands of processes of their own would take minutes more.
type shell struct {
	in  io.Writer
	out *bufio.Reader
}

func newShell(t *testing.T) *shell {
	t.Helper()
	command := exec.Command("lvm")
	command.Env = environment()
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = write, write
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() {
		in.Close()
		_, _ = io.Copy(io.Discard, read)
		if err := command.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &shell{in: in, out: bufio.NewReader(read)}
}

// environment makes LVM speak plainly, and device-mapper make its own device nodes.
func environment() []string {
	return append(os.Environ(), "LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1", "DM_DISABLE_UDEV=1")
}

// end is no command of LVM's. The shell tells neither when a command has ended nor how; what it says to this one is the
// end of the others' words, which are the answer.
const end = "end-of-answer"

// run runs commands, without the word lvm, and returns what they print.
func (s *shell) run(t *testing.T, commands ...string) string {
	t.Helper()
	for _, command := range append(commands, end) {
		if _, err := fmt.Fprintln(s.in, command); err != nil {
			t.Fatal(err)
		}
	}
	var text strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v\n%s", commands, err, text.String())
		}
		if strings.Contains(line, end) {
			return text.String()
		}
		text.WriteString(line)
	}
}
