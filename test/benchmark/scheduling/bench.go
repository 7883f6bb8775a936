package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-dev/berth/test/controlplane"
	"github.com/berth-dev/berth/test/lab/toolchain"
)

// bench is what all runs share.
type bench struct {
	options
	out, progress io.Writer
	started       time.Time
	dir           string
	// programs are etcd, kube-apiserver, kube-scheduler and scheduler, which is ours.
	programs map[string]string
	// prepared maps a count of nodes to etcd's data with them.
	prepared map[int]string
	runs     int
}

func newBench(ctx context.Context, o options, out, progress io.Writer) (*bench, error) {
	dir, err := os.MkdirTemp("", "berth-scheduling-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, out: out, progress: progress, started: time.Now(), dir: dir, prepared: map[int]string{}}
	if err := b.findPrograms(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

func (b *bench) findPrograms(ctx context.Context) (err error) {
	if b.programs, err = controlplane.Programs(ctx, b.repository, b.progressf); err != nil {
		return err
	}
	if b.programs["scheduler"] = b.scheduler; b.scheduler != "" {
		return nil
	}
	b.progressf("building our scheduler")
	b.programs["scheduler"] = filepath.Join(b.dir, "scheduler")
	return toolchain.Compile(ctx, b.repository, "./cmd/scheduler", b.programs["scheduler"])
}

// cluster starts a control plane that has so many nodes and nothing else. The first of each size is made object by
// object, the others start from its data.
func (b *bench) cluster(ctx context.Context, nodes int) (*cluster, error) {
	if b.prepared[nodes] == "" {
		if err := b.prepare(ctx, nodes); err != nil {
			return nil, err
		}
	}
	b.runs++
	dir := filepath.Join(b.dir, fmt.Sprintf("run-%d", b.runs))
	if err := os.CopyFS(filepath.Join(dir, controlplane.DataDir), os.DirFS(b.prepared[nodes])); err != nil {
		return nil, err
	}
	return newCluster(ctx, dir, b.programs)
}

func (b *bench) prepare(ctx context.Context, nodes int) error {
	b.progressf("preparing %d nodes", nodes)
	dir := filepath.Join(b.dir, fmt.Sprintf("nodes-%d", nodes))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	c, err := newCluster(ctx, dir, b.programs)
	if err != nil {
		return err
	}
	// Stopped when its data are complete: an etcd at work must not be copied.
	defer c.Stop()
	if err := c.populate(ctx, b.repository, nodes); err != nil {
		return err
	}
	b.prepared[nodes] = filepath.Join(dir, controlplane.DataDir)
	return nil
}
