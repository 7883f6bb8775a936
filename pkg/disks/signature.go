package disks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/utils/exec"
)

// blkidTimeout bounds one look at a device.
const blkidTimeout = 30 * time.Second

// Exit statuses of blkid(8) with --probe.
const (
	blkidNothing   = 2
	blkidAmbiguous = 8
)

// Signature is what blkid finds on a device: a file system's or volume manager's type (ext4, LVM2_member), or "a
// partition table" or the like; empty if it finds nothing.
func (h *Host) Signature(ctx context.Context, device string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, blkidTimeout)
	defer cancel()
	output, err := h.exec.CommandContext(ctx, "blkid", "--probe", "--output", "export", device).CombinedOutput()
	var exit exec.ExitError
	if errors.As(err, &exit) {
		switch exit.ExitStatus() {
		case blkidNothing:
			return "", nil
		case blkidAmbiguous:
			return "several signatures", nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("blkid of %s: %w: %s", device, err, strings.TrimSpace(string(output)))
	}
	return parseSignature(string(output)), nil
}

// parseSignature reads lines of NAME=value. What is found at all has at least one besides the device's own.
func parseSignature(output string) string {
	found := ""
	for line := range strings.Lines(output) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case !ok || name == "DEVNAME":
		case name == "TYPE":
			return value
		case name == "PTTYPE":
			found = fmt.Sprintf("a partition table (%s)", value)
		case found == "":
			found = "a signature"
		}
	}
	return found
}
