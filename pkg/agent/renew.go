package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/exec"
)

// Renewer gives file systems a new identity.
type Renewer interface {
	// Renew gives the file system on a device a new random UUID, so that it is mounted beside the one it is a copy of.
	// The device is not mounted, and the file system may have been in use when it was copied. Renewing twice is allowed,
	// and after a crash needed.
	Renew(ctx context.Context, device, fsType string) error
}

// renewTimeout bounds one command of a renewal: checking a large file system takes long.
const renewTimeout = time.Hour

// HostRenewer runs the file systems' own tools of the agent's image.
type HostRenewer struct {
	Exec exec.Interface
	// Directory is where xfs is mounted for a moment.
	Directory string
}

// Renew implements Renewer.
func (r HostRenewer) Renew(ctx context.Context, device, fsType string) error {
	switch fsType {
	case "ext4":
		return r.renewExt4(ctx, device)
	case "xfs":
		return r.renewXFS(ctx, device)
	case "btrfs":
		return r.renewBtrfs(ctx, device)
	}
	return fmt.Errorf("file system %q is not supported", fsType)
}

// Exit statuses of e2fsck(8) that leave a sound file system: 1 and 2 say that something was corrected.
const e2fsckSound = 2

// renewExt4 replays the journal and checks everything, without which tune2fs refuses.
func (r HostRenewer) renewExt4(ctx context.Context, device string) error {
	_, err := r.run(ctx, "e2fsck", "-fy", device)
	var exit exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitStatus() > e2fsckSound) {
		return err
	}
	superblock, err := r.run(ctx, "dumpe2fs", "-h", device)
	if err != nil {
		return err
	}
	arguments := []string{"-U", "random", device}
	// Checksums begin with the UUID unless their seed is noted apart. Once it is, the UUID is in the superblock alone:
	// else all metadata would be rewritten, and an interruption would leave some with either sum.
	features := strings.Fields(superblock)
	if slices.Contains(features, "metadata_csum") && !slices.Contains(features, "metadata_csum_seed") {
		arguments = append([]string{"-O", "metadata_csum_seed"}, arguments...)
	}
	_, err = r.run(ctx, "tune2fs", arguments...)
	return err
}

// renewXFS mounts once, which replays the log: xfs_admin refuses a log that is not clean, and says so on the terminal
// only. xfs_repair would drop what is in the log.
func (r HostRenewer) renewXFS(ctx context.Context, device string) error {
	if err := r.replayXFS(ctx, device); err != nil {
		return err
	}
	before, err := r.run(ctx, "xfs_admin", "-u", device)
	if err != nil {
		return err
	}
	output, err := r.run(ctx, "xfs_admin", "-U", "generate", device)
	if err != nil {
		return err
	}
	after, err := r.run(ctx, "xfs_admin", "-u", device)
	if err == nil && after == before {
		err = fmt.Errorf("xfs_admin: %s is as before: %s", strings.TrimSpace(after), strings.TrimSpace(output))
	}
	return err
}

func (r HostRenewer) replayXFS(ctx context.Context, device string) error {
	directory := filepath.Join(r.Directory, "berth-renew-"+filepath.Base(device))
	if err := os.Mkdir(directory, 0o700); errors.Is(err, os.ErrExist) {
		// Left behind by an agent that died; whether it is mounted umount knows.
		_, _ = r.run(ctx, "umount", directory)
	} else if err != nil {
		return err
	}
	if _, err := r.run(ctx, "mount", "-t", "xfs", "-o", "nouuid,nosuid,nodev,noexec", device, directory); err != nil {
		return errors.Join(err, os.Remove(directory))
	}
	// Not under ctx: what is mounted must not stay so.
	if _, err := r.run(context.WithoutCancel(ctx), "umount", directory); err != nil {
		return err
	}
	return os.Remove(directory)
}

// renewBtrfs changes the superblock only where btrfs-progs can (5.0 and later, and Linux 5.0 to mount it), else every
// block, which an interruption leaves to be gone through again.
func (r HostRenewer) renewBtrfs(ctx context.Context, device string) error {
	output, err := r.run(ctx, "btrfstune", "-f", "-m", device)
	if err != nil && strings.Contains(output, "invalid option") {
		_, err = r.run(ctx, "btrfstune", "-f", "-u", device)
	}
	return err
}

func (r HostRenewer) run(ctx context.Context, command string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	begin := time.Now()
	output, err := r.Exec.CommandContext(ctx, command, arguments...).CombinedOutput()
	klog.FromContext(ctx).V(4).Info("Ran", "command", command, "arguments", arguments, "duration", time.Since(begin), "err", err)
	if err != nil {
		return string(output), fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}
