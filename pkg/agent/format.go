package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/exec"
)

// Formatter makes file systems on new volumes.
type Formatter interface {
	// Format makes an empty file system of a type (ext4, xfs, btrfs) on a device, whatever is on it. Options are what
	// lvm.ParseMkfsOptions returns. With wipe it removes old signatures first, for a device that an earlier attempt may
	// have formatted.
	Format(ctx context.Context, device, fsType string, options []string, wipe bool) error
}

// formatTimeout bounds one mkfs. It is killed then, which only costs a new attempt.
const formatTimeout = 10 * time.Minute

// leastBytes are the sizes below which mkfs refuses: xfsprogs 5.19 and later, btrfs-progs with single profiles.
var leastBytes = map[string]int64{
	"xfs":   300 << 20,
	"btrfs": 114294784,
}

// mkfsArguments discard nothing (that is the erase mode's business and takes long on some devices) and leave what
// can be written later to the kernel. No block is reserved for root: the volume is data, not a system's.
var mkfsArguments = map[string][]string{
	"ext4":  {"-q", "-F", "-m0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"},
	"xfs":   {"-q", "-f", "-K"},
	"btrfs": {"-q", "-f", "-K"},
}

// MkfsFormatter runs mkfs of the agent's own image.
type MkfsFormatter struct {
	Exec exec.Interface
}

// Format implements Formatter.
func (f MkfsFormatter) Format(ctx context.Context, device, fsType string, options []string, wipe bool) error {
	if _, ok := mkfsArguments[fsType]; !ok {
		return fmt.Errorf("file system %q is not supported", fsType)
	}
	ctx, cancel := context.WithTimeout(ctx, formatTimeout)
	defer cancel()
	if wipe {
		if err := f.run(ctx, "wipefs", "--all", "--quiet", device); err != nil {
			return err
		}
	}
	return f.run(ctx, "mkfs."+fsType, append(argumentsFor(fsType, options), device)...)
}

// argumentsFor are the agent's own arguments and the options after them: the later holds where both say something. Of
// several -E mke2fs heeds the last one only, so they are joined.
func argumentsFor(fsType string, options []string) []string {
	arguments := slices.Clone(mkfsArguments[fsType])
	for pair := range slices.Chunk(options, 2) {
		if own := slices.Index(arguments, pair[0]); own >= 0 && fsType == "ext4" && pair[0] == "-E" {
			arguments[own+1] += "," + pair[1]
			continue
		}
		arguments = append(arguments, pair...)
	}
	return arguments
}

func (f MkfsFormatter) run(ctx context.Context, command string, arguments ...string) error {
	begin := time.Now()
	output, err := f.Exec.CommandContext(ctx, command, arguments...).CombinedOutput()
	klog.FromContext(ctx).V(4).Info("Ran", "command", command, "arguments", arguments, "duration", time.Since(begin), "err", err)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(output)))
	}
	return nil
}
