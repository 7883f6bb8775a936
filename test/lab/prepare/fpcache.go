package prepare

import (
	"context"
	_ "embed" // the library's source
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed fpcache/fpcache.c
var fpcacheSource string

// FPCache returns the path of a library to preload into user-mode Linux, which makes system calls of its processes faster;
// empty when it cannot be compiled, for nodes work without. The caller holds Lock.
func (p *Preparer) FPCache(ctx context.Context) (string, error) {
	dir := filepath.Join(p.Cache, "lab", "programs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fpcache-"+key(fpcacheSource)+".so")
	if exists(path) {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "cc", "-O2", "-Wall", "-shared", "-fPIC", "-x", "c", "-o", path+".new", "-")
	cmd.Stdin = strings.NewReader(fpcacheSource)
	if output, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		p.Progress("no C compiler that works, so the nodes are slower than they could be: cc: %v %s", err, output)
		return "", nil
	}
	return path, os.Rename(path+".new", path)
}
