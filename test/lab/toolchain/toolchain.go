// Package toolchain builds the programs that a lab cluster runs and keeps them in a user cache.
//
// Each group of programs has a Go module of its own under test/lab/binaries, so that the product's go.mod stays
// free of them. A build's directory is named after a hash of everything that decides its content; it appears by
// rename, so a directory that exists is complete.
package toolchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// KubernetesVersion is the version that the Kubernetes programs report. It matches the module version in
// test/lab/binaries/kubernetes/go.mod.
const KubernetesVersion = "v1.37.1"

// Group is a set of programs built from one module.
type Group struct {
	// Name is the directory under test/lab/binaries.
	Name string
	// Packages are the import paths of the main packages.
	Packages []string
	// Tags are Go build tags, comma separated.
	Tags string
	// LinkerFlags follow "-s -w".
	LinkerFlags string
	// Rename gives a program another file name than the last element of its import path.
	Rename map[string]string
	// Test is the file name of the test program of the module's own package; empty for none.
	Test string
}

// Groups returns the groups of which a cluster is made, the quickest to build first, so that mistakes show early.
func Groups() []Group {
	return []Group{
		{
			Name:     "etcd",
			Packages: []string{"go.etcd.io/etcd/server/v3"},
			Rename:   map[string]string{"server": "etcd", "v3": "etcd"},
		},
		{
			Name: "containerd",
			Packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd",
				"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
				"github.com/containerd/containerd/v2/cmd/ctr",
			},
			Tags: "no_btrfs,no_zfs,no_devmapper,no_aufs",
		},
		{
			Name: "kubernetes",
			Packages: []string{
				"k8s.io/kubernetes/cmd/kube-apiserver",
				"k8s.io/kubernetes/cmd/kube-controller-manager",
				"k8s.io/kubernetes/cmd/kube-scheduler",
				"k8s.io/kubernetes/cmd/kubelet",
				"k8s.io/kubernetes/cmd/kubectl",
			},
			LinkerFlags: kubernetesVersionFlags(),
		},
		{Name: "resizer", Packages: []string{"github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer"}},
		{Name: "provisioner", Packages: []string{"github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"}},
		{
			Name: "snapshotter",
			Packages: []string{
				"github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter",
				"github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller",
			},
		},
	}
}

// StorageSuiteGroups returns what Kubernetes' own storage suite needs besides: it takes some minutes to build, and no other
// run uses it.
func StorageSuiteGroups() []Group {
	return []Group{
		{
			Name:        "e2e",
			Packages:    []string{"github.com/onsi/ginkgo/v2/ginkgo", "k8s.io/kubernetes/test/images/agnhost"},
			Test:        "e2e.test",
			LinkerFlags: kubernetesVersionFlags(),
		},
	}
}

// kubernetesVersionFlags makes the programs say their version: built from a module they would say v0.0.0-master,
// and the node's version skew checks read it.
func kubernetesVersionFlags() string {
	parts := strings.Split(strings.TrimPrefix(KubernetesVersion, "v"), ".")
	const pkg = "k8s.io/component-base/version"
	return fmt.Sprintf("-X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s -X %s.gitTreeState=clean",
		pkg, KubernetesVersion, pkg, parts[0], pkg, parts[1], pkg)
}

// Builder builds groups into a cache.
type Builder struct {
	// Modules is the directory test/lab/binaries of a checkout.
	Modules string
	// Cache is the directory that holds one directory per finished build.
	Cache string
	// Progress receives one line per event.
	Progress func(format string, args ...any)
}

// Build returns the directory of the group's programs and builds them first when it does not exist.
// Builders of several processes wait for each other.
func (b *Builder) Build(ctx context.Context, group Group) (string, error) {
	key, err := b.key(ctx, group)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.Cache, group.Name+"-"+key)
	if isDir(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(b.Cache, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) {
		return dir, nil
	}
	temp, err := os.MkdirTemp(b.Cache, ".building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		return "", err
	}
	if err := b.compile(ctx, group, temp); err != nil {
		return "", err
	}
	return dir, os.Rename(temp, dir)
}

// key hashes the module's files, the flags and the compiler version.
func (b *Builder) key(ctx context.Context, group Group) (string, error) {
	dir := filepath.Join(b.Modules, group.Name)
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, path := range append([]string{filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")}, sources...) {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.Base(path), len(content))
		hash.Write(content)
	}
	version, err := exec.CommandContext(ctx, "go", "version").Output()
	if err != nil {
		return "", fmt.Errorf("run go version: %w", err)
	}
	fmt.Fprintf(hash, "%s%q %q %q\n", version, group.Packages, group.Tags, group.LinkerFlags)
	if group.Test != "" {
		fmt.Fprintf(hash, "test %q\n", group.Test)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

func (b *Builder) compile(ctx context.Context, group Group, target string) error {
	watch := &packageCounter{group: group.Name, report: b.Progress, started: time.Now()}
	b.Progress("building %s: %s", group.Name, strings.Join(programs(group), ", "))
	stop := watch.every(5 * time.Second)
	err := b.runGo(ctx, group, watch, append([]string{"build", "-v", "-o", target + "/"}, flags(group)...), group.Packages...)
	if err == nil && group.Test != "" {
		err = b.compileTest(ctx, group, target, watch)
	}
	stop()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", group.Name, err, watch.tail())
	}
	return rename(group, target)
}

// compileTest builds what the test program is made of first: "go test" does not say how far it is.
func (b *Builder) compileTest(ctx context.Context, group Group, target string, watch *packageCounter) error {
	if err := b.runGo(ctx, group, watch, append([]string{"build", "-v"}, flags(group)...), "."); err != nil {
		return err
	}
	return b.runGo(ctx, group, watch, append([]string{"test", "-c", "-o", filepath.Join(target, group.Test)}, flags(group)...), ".")
}

func flags(group Group) []string {
	list := []string{"-trimpath", "-ldflags", strings.TrimSpace("-s -w " + group.LinkerFlags)}
	if group.Tags != "" {
		list = append(list, "-tags", group.Tags)
	}
	return list
}

func (b *Builder) runGo(ctx context.Context, group Group, watch *packageCounter, args []string, packages ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	cmd.Dir = filepath.Join(b.Modules, group.Name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stderr = watch
	return cmd.Run()
}

func rename(group Group, dir string) error {
	for from, to := range group.Rename {
		err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func programs(group Group) []string {
	var names []string
	for _, pkg := range group.Packages {
		name := pkg[strings.LastIndexByte(pkg, '/')+1:]
		if renamed, ok := group.Rename[name]; ok {
			name = renamed
		}
		names = append(names, name)
	}
	if group.Test != "" {
		names = append(names, group.Test)
	}
	return names
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// lockFile waits for an exclusive lock on path, which is made when missing.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// Compile builds one package of the checkout that contains dir, statically, into the file out.
func Compile(ctx context.Context, dir, pkg, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, output.String())
	}
	return nil
}
