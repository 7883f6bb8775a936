package controlplane

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-dev/berth/test/lab/toolchain"
)

// programs are what a control plane and its schedulers are made of, by group of the toolchain.
var programs = map[string][]string{"etcd": {"etcd"}, "kubernetes": {"kube-apiserver", "kube-scheduler"}}

// Programs maps a program's name to its path: etcd, kube-apiserver and kube-scheduler. They are taken from the directory
// BERTH_BIN_DIR, or from the lab's cache, where they are built when missing.
// Errors: those of building.
func Programs(ctx context.Context, repository string, progress func(format string, args ...any)) (map[string]string, error) {
	paths := map[string]string{}
	for group, names := range programs {
		dir, err := programDir(ctx, repository, group, progress)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			paths[name] = filepath.Join(dir, name)
		}
	}
	return paths, nil
}

func programDir(ctx context.Context, repository, group string, progress func(format string, args ...any)) (string, error) {
	if dir := os.Getenv("BERTH_BIN_DIR"); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	builder := toolchain.Builder{
		Modules: filepath.Join(repository, "test", "lab", "binaries"), Cache: filepath.Join(cache, "berth", "bin"), Progress: progress,
	}
	i := slices.IndexFunc(toolchain.Groups(), func(g toolchain.Group) bool { return g.Name == group })
	return builder.Build(ctx, toolchain.Groups()[i])
}
