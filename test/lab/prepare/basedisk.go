package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/image"
	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/nodeos"
	"github.com/berth-dev/berth/test/lab/supervisor"
)

const (
	// baseDiskBytes is the size of each node's own disk. The file is sparse.
	baseDiskBytes = 16 << 30
	// baseDiskLimit bounds the kernel's run.
	baseDiskLimit = 5 * time.Minute
	// baseDiskMemoryMiB is for containerd alone.
	baseDiskMemoryMiB = 1024
	// baseDiskFormat changes when the way of filling a disk does.
	baseDiskFormat = "1"
)

// BaseDisk returns the disk that lies under each node's own disk: an ext4 file system with the rarely changing images
// in containerd's store. Lab is a lab program that can be started as a node's init.
func (p *Preparer) BaseDisk(ctx context.Context, programs map[string]string, lab string) (string, error) {
	images, err := p.baseImages(ctx, programs)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(p.disks(), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(p.disks(), ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(p.disks(), "base-"+baseKey(images, programs)+".img")
	if exists(path) {
		return path, nil
	}
	p.Progress("making the nodes' base disk with %d images", len(images))
	dir, err := os.MkdirTemp(p.disks(), ".base-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	disk := filepath.Join(dir, "base.img")
	if err := p.fillDisk(ctx, dir, disk, images, programs, lab); err != nil {
		return "", fmt.Errorf("make the base disk: %w", err)
	}
	// The copy-on-write format remembers the file's time, so nothing may write to it from here on.
	if err := os.Chmod(disk, 0o444); err != nil {
		return "", err
	}
	return path, os.Rename(disk, path)
}

func baseKey(images []image.Image, programs map[string]string) string {
	parts := []string{baseDiskFormat, programs["containerd"]}
	for _, image := range images {
		parts = append(parts, image.Name, fmt.Sprint(image.Entrypoint, image.Cmd, image.Env))
		for _, layer := range image.Layers {
			parts = append(parts, layer.Digest)
		}
	}
	return key(parts...)
}

func (p *Preparer) fillDisk(ctx context.Context, dir, disk string, images []image.Image, programs map[string]string, lab string) error {
	archives, shared := filepath.Join(dir, "images"), filepath.Join(dir, "shared")
	for _, path := range []string{archives, shared} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	if err := image.WriteArchive(filepath.Join(archives, "base.tar"), images, nil); err != nil {
		return err
	}
	if err := formatDisk(ctx, disk); err != nil {
		return err
	}
	boot := filepath.Join(dir, "boot.json")
	if err := layout.WriteJSON(boot, layout.Boot{
		Prepare: true, Name: "base", Programs: programs, Images: archives, SandboxImage: PauseImage, Shared: shared,
	}); err != nil {
		return err
	}
	return runPreparation(ctx, dir, supervisor.KernelArgs(lab, boot, baseDiskMemoryMiB, "ubda=base.img"))
}

func formatDisk(ctx context.Context, disk string) error {
	file, err := os.Create(disk)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(baseDiskBytes); err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", disk).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, output)
	}
	return nil
}

// runPreparation boots a kernel that fills the disk and halts.
func runPreparation(ctx context.Context, dir string, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, baseDiskLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, supervisor.KernelProgram, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), supervisor.KernelEnvironment(dir)...)
	// The death signal comes when the starting thread ends, so this goroutine keeps its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	output, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	}
	if !strings.Contains(string(output), nodeos.PreparedMessage) {
		return fmt.Errorf("%w; the kernel said:\n%s", errors.Join(err, ctx.Err(), errors.New("the kernel ended early")), output)
	}
	return nil
}
