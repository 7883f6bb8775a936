package prepare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/image"
	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/toolchain"
)

// Preparer makes and caches. It is for one goroutine.
type Preparer struct {
	// Repo is the root of a checkout of the project.
	Repo string
	// Cache is layout.CacheRoot.
	Cache string
	// Progress receives one line per event.
	Progress func(format string, args ...any)

	// driverRoot is remembered: to ask apt takes a second.
	driverRoot *image.Layer
}

// Programs returns the path of every program of the groups, building the missing ones.
func (p *Preparer) Programs(ctx context.Context, groups []toolchain.Group) (map[string]string, error) {
	builder := toolchain.Builder{
		Modules:  filepath.Join(p.Repo, "test", "lab", "binaries"),
		Cache:    filepath.Join(p.Cache, "bin"),
		Progress: p.Progress,
	}
	programs := map[string]string{}
	for _, group := range groups {
		dir, err := builder.Build(ctx, group)
		if err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			programs[entry.Name()] = filepath.Join(dir, entry.Name())
		}
	}
	return programs, nil
}

// Compile builds a package of the checkout and returns the path of the program. The path is the same every time, as go
// build links a program again only when the one that is there differs. The caller holds Lock.
func (p *Preparer) Compile(ctx context.Context, pkg string) (string, error) {
	dir := filepath.Join(p.Cache, "lab", "programs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	program := filepath.Join(dir, filepath.Base(pkg))
	return program, toolchain.Compile(ctx, p.Repo, pkg, program)
}

func (p *Preparer) layers() string { return filepath.Join(p.Cache, "lab", "layers") }

// Lock keeps other processes from making or removing layers and disks until unlock is called. The methods that return
// layers and disks are called under it.
func (p *Preparer) Lock() (unlock func(), err error) {
	dir := filepath.Join(p.Cache, "lab")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, err := lock(filepath.Join(dir, ".lock"), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return func() { file.Close() }, nil
}

// cachedLayer returns the layer of the given name and key and makes it when it is missing: make writes it to a path.
func (p *Preparer) cachedLayer(name, key string, make func(path string) (image.Layer, error)) (image.Layer, error) {
	dir := p.layers()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return image.Layer{}, err
	}
	path := filepath.Join(dir, name+"-"+key+".tar")
	var layer image.Layer
	if layout.ReadJSON(path+".json", &layer) == nil && exists(path) {
		return layer, nil
	}
	p.Progress("making the %s layer", name)
	layer, err := make(path + ".new")
	if err != nil {
		return image.Layer{}, fmt.Errorf("make the %s layer: %w", name, err)
	}
	if err := removeOld(dir, name, path); err != nil {
		return image.Layer{}, err
	}
	if err := os.Rename(layer.Path, path); err != nil {
		return image.Layer{}, err
	}
	layer.Path = path
	return layer, layout.WriteJSON(path+".json", layer)
}

// removeOld deletes earlier layers of the name: nothing reads them once a base disk is made.
func removeOld(dir, name, keep string) error {
	old, err := filepath.Glob(filepath.Join(dir, name+"-*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if strings.HasPrefix(path, keep) || !strings.HasPrefix(filepath.Base(path), name+"-") {
			continue
		}
		if len(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".json"), ".tar")) != len(name)+1+keyLength {
			continue // another layer whose name begins like this one's
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// keyLength is the number of characters of a key.
const keyLength = 16

// key hashes strings.
func key(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:keyLength]
}

// fileKey hashes a file's content.
func fileKey(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil))[:keyLength], nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lock takes a lock on the file, which is made when missing, until it is closed.
func lock(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), how); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}
