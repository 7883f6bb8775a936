package luks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/klog/v2"
	utilexec "k8s.io/utils/exec"
)

// Cryptsetup is the Crypt of this host. It needs cryptsetup 2, the host's /dev and /sys, and for cryptsetup's own locks
// /run/cryptsetup.
type Cryptsetup struct {
	exec utilexec.Interface
	// sys is /sys, number finds a device node's number.
	sys    string
	number func(path string) (string, error)
}

var _ Crypt = &Cryptsetup{}

// New returns the Crypt of this host.
func New(exec utilexec.Interface) *Cryptsetup {
	return &Cryptsetup{exec: exec, sys: "/sys", number: deviceNumber}
}

// Exit statuses of cryptsetup(8).
const (
	statusWrong        = 1
	statusNoPermission = 2
)

// formatArguments bound what unlocking takes: 64 MiB, where the default is up to 1 GiB, which a small node's pod may not
// have; and four passes over them, cryptsetup's least, in place of a benchmark for two seconds, at each start of a pod: the
// passphrase of a Secret is made by a machine, or can be. The benchmark never ends where the processor's time is told coarsely.
var formatArguments = []string{"luksFormat", "--type", "luks2", "--batch-mode", "--pbkdf", "argon2id", "--pbkdf-memory", "65536",
	"--pbkdf-parallel", "1", "--pbkdf-force-iterations", "4"}

// Format implements Crypt.
func (c *Cryptsetup) Format(ctx context.Context, device, label string, key []byte) error {
	arguments := append(append([]string(nil), formatArguments...), "--label", label, "--key-file=-", device)
	return c.run(ctx, key, arguments...)
}

// SetLabel implements Crypt.
func (c *Cryptsetup) SetLabel(ctx context.Context, device, label string) error {
	return c.run(ctx, nil, "config", "--label", label, device)
}

// Open implements Crypt.
func (c *Cryptsetup) Open(ctx context.Context, device, name string, key []byte, discards bool) error {
	arguments := []string{"open", "--type", "luks2", "--disable-keyring", "--key-file=-"}
	if discards {
		arguments = append(arguments, "--allow-discards")
	}
	err := c.run(ctx, key, append(arguments, device, name)...)
	if err == nil {
		return nil
	}
	if exitStatus(err) == statusNoPermission {
		return ErrKey
	}
	// The statuses do not tell a missing header from other faults. A spoilt first header is no reason: there is a second.
	if exitStatus(c.run(ctx, nil, "isLuks", "--type", "luks2", device)) == statusWrong {
		return fmt.Errorf("%s: %w", device, ErrNoHeader)
	}
	return err
}

// Resize implements Crypt.
func (c *Cryptsetup) Resize(ctx context.Context, name string) error {
	return c.run(ctx, nil, "resize", name)
}

// Close implements Crypt.
func (c *Cryptsetup) Close(ctx context.Context, name string) error {
	return c.run(ctx, nil, "close", name)
}

// CloseLater implements Crypt.
func (c *Cryptsetup) CloseLater(ctx context.Context, name string) error {
	return c.run(ctx, nil, "close", "--deferred", name)
}

// run runs cryptsetup with key on its standard input. No udev answers here: device-mapper must neither wait for it (the
// semaphores that it waits on are the host's) nor leave the device nodes to it.
func (c *Cryptsetup) run(ctx context.Context, key []byte, arguments ...string) error {
	begin := time.Now()
	command := c.exec.Command("cryptsetup", arguments...)
	command.SetEnv(append(os.Environ(), "LC_ALL=C", "DM_DISABLE_UDEV=1"))
	if key != nil {
		command.SetStdin(bytes.NewReader(key))
	}
	output, err := command.CombinedOutput()
	klog.FromContext(ctx).V(4).Info("Ran", "command", "cryptsetup", "arguments", arguments, "duration", time.Since(begin), "err", err)
	if err != nil {
		return fmt.Errorf("cryptsetup %s: %w: %s", arguments[0], err, strings.TrimSpace(string(output)))
	}
	return nil
}

// exitStatus is what cryptsetup ended with; -1 if it did not run.
func exitStatus(err error) int {
	var exit utilexec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitStatus()
	}
	return -1
}
