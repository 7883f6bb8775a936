package prepare

import (
	"context"
	_ "embed" // the library's source
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed fpcache/fpcache.c
var fpcacheSource string

// FPCache returns the path of a library to preload into user-mode Linux, which makes its system calls up to twice as
// fast; empty when no C compiler is on PATH. The caller holds Lock.
func (p *Preparer) FPCache(ctx context.Context) (string, error) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		p.Progress("no C compiler (cc) on PATH: the nodes will be slower than they could be")
		return "", nil
	}
	dir := filepath.Join(p.Cache, "lab", "programs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fpcache-"+key(fpcacheSource)+".so")
	if exists(path) {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, compiler, "-O2", "-Wall", "-shared", "-fPIC", "-x", "c", "-o", path+".new", "-")
	cmd.Stdin = strings.NewReader(fpcacheSource)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile fpcache.c: %w: %s", err, output)
	}
	return path, os.Rename(path+".new", path)
}
