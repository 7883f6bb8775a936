package prepare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernelFormat changes when the way of making a kernel's directory does.
const kernelFormat = "1"

// Kernel returns the directory of a user-mode Linux that is newer than the machine's own: from version 6.16 on it runs
// processes with seccomp instead of ptrace and maps the pages around a fault, which makes a node several times faster.
// It holds the program linux.uml, its loader ld.so, lib for its C library, and modules. It stays in the cache as it is.
//
// Without a way to Debian's next release the path is empty: nodes work with the machine's own. The caller holds Lock.
func (p *Preparer) Kernel(ctx context.Context) (string, error) {
	dir := filepath.Join(p.Cache, "lab", "kernels")
	path := filepath.Join(dir, "kernel-"+key(kernelFormat))
	if exists(path) {
		return path, nil
	}
	// What an interrupted run left goes too.
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	p.Progress("downloading a newer user-mode Linux from Debian's next release")
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	made := filepath.Join(temp, "kernel")
	if err := makeKernel(ctx, temp, made); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		p.Progress("no newer user-mode Linux, so the nodes are slower than they could be: %v", err)
		return "", nil
	}
	return path, os.Rename(made, path)
}

func makeKernel(ctx context.Context, temp, made string) error {
	archives, root := filepath.Join(temp, "archives"), filepath.Join(temp, "root")
	for _, dir := range []string{archives, root, made} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := downloadNext(ctx, temp, archives, "user-mode-linux", "libc6"); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := unpack(ctx, file, root); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(filepath.Join(root, "usr", "bin", "linux.uml"))
	if err != nil {
		return err
	}
	if program, err = withLoader(program, "ld.so"); err != nil {
		return err
	}
	lib := filepath.Join(made, "lib")
	return errors.Join(
		os.WriteFile(filepath.Join(made, "linux.uml"), program, 0o755),
		os.Rename(filepath.Join(root, "usr", "lib", "x86_64-linux-gnu"), lib),
		os.Rename(filepath.Join(root, "usr", "lib", "uml", "modules"), filepath.Join(made, "modules")),
		os.Symlink("lib/ld-linux-x86-64.so.2", filepath.Join(made, "ld.so")),
	)
}

// withLoader makes a program ask for another loader, found from the directory in which it is started: the new one's C
// library does not work with the machine's.
func withLoader(program []byte, loader string) ([]byte, error) {
	const old = "/lib64/ld-linux-x86-64.so.2\x00"
	at := bytes.Index(program, []byte(old))
	if at < 0 {
		return nil, errors.New("linux.uml names no loader")
	}
	changed := bytes.Clone(program)
	copy(changed[at:], loader+strings.Repeat("\x00", len(old)-len(loader)))
	return changed, nil
}

// downloadNext fetches packages of Debian's next release from the mirror of the machine's own, and installs nothing.
func downloadNext(ctx context.Context, temp, archives string, packages ...string) error {
	mirror, err := debianMirror(ctx)
	if err != nil {
		return err
	}
	sources, lists := filepath.Join(temp, "sources.list"), filepath.Join(temp, "lists")
	if err := errors.Join(
		os.WriteFile(sources, fmt.Appendf(nil, "deb [arch=amd64] %s testing main\n", mirror), 0o644),
		os.MkdirAll(filepath.Join(lists, "partial"), 0o755),
		os.MkdirAll(filepath.Join(temp, "cache", "archives", "partial"), 0o755),
	); err != nil {
		return err
	}
	for _, args := range [][]string{{"update"}, append([]string{"download"}, packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{
			"-o", "Dir::Etc::SourceList=" + sources, "-o", "Dir::Etc::SourceParts=/dev/null", "-o", "Dir::State::Lists=" + lists,
			"-o", "Dir::Cache=" + filepath.Join(temp, "cache"), "-o", "Dir::State::status=/dev/null",
			"-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none",
		}, args...)...)
		cmd.Dir = archives
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, output)
		}
	}
	return nil
}

// debianMirror is where the machine's own packages come from.
func debianMirror(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	for line := range strings.Lines(string(output)) {
		if uri, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian Debian "); ok {
			return uri, nil
		}
	}
	return "", errors.New("apt's configuration has no mirror of Debian")
}
