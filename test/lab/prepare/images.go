package prepare

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"strings"

	"github.com/berth-dev/berth/test/lab/image"
)

// Names of the images that every node has.
const (
	PauseImage       = "registry.k8s.io/pause:3.10.2"
	BusyboxImage     = "registry.k8s.io/e2e-test-images/busybox:1.37.0-2"
	ShortBusybox     = "docker.io/library/busybox:1.37"
	ProvisionerImage = "registry.k8s.io/sig-storage/csi-provisioner:v6.3.0"
	ResizerImage     = "registry.k8s.io/sig-storage/csi-resizer:v2.3.0"
	SnapshotterImage = "registry.k8s.io/sig-storage/csi-snapshotter:v8.7.0"
	// SnapshotControllerImage is not Berth's: a cluster has it or not.
	SnapshotControllerImage = "registry.k8s.io/sig-storage/snapshot-controller:v8.7.0"
	DriverImage             = "ghcr.io/berth-dev/berth-driver:dev"
	SchedulerImage          = "ghcr.io/berth-dev/berth-scheduler:dev"
	// driverRoot keeps the driver's lower layer on every disk, so that a changed driver can be loaded without it. No
	// pod uses it.
	driverRoot = "lab.berth.dev/driver-root:latest"
)

// searchPath is PATH in images that have a root file system.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// StockImages returns the images that do not come from this project.
func (p *Preparer) StockImages(ctx context.Context, programs map[string]string) ([]image.Image, error) {
	pause, err := p.pauseLayer(ctx)
	if err != nil {
		return nil, err
	}
	busybox, err := p.busyboxLayer()
	if err != nil {
		return nil, err
	}
	driver, err := p.driverRootLayer(ctx)
	if err != nil {
		return nil, err
	}
	one := func(name string, layer image.Layer, entrypoint ...string) image.Image {
		return image.Image{Name: name, Layers: []image.Layer{layer}, Entrypoint: entrypoint, Env: []string{searchPath}}
	}
	shell := one(BusyboxImage, busybox)
	shell.Cmd = []string{"sh"}
	short := shell
	short.Name = ShortBusybox
	images := []image.Image{one(PauseImage, pause, "/pause"), shell, short, one(driverRoot, driver)}
	for _, sidecar := range []struct{ name, program string }{
		{ProvisionerImage, "csi-provisioner"},
		{ResizerImage, "csi-resizer"},
		{SnapshotterImage, "csi-snapshotter"},
		{SnapshotControllerImage, "snapshot-controller"},
	} {
		layer, err := p.programLayer(sidecar.program, programs[sidecar.program])
		if err != nil {
			return nil, err
		}
		images = append(images, one(sidecar.name, layer, "/"+sidecar.program))
	}
	return images, nil
}

// ProductImages builds the project's own images.
func (p *Preparer) ProductImages(ctx context.Context) ([]image.Image, error) {
	root, err := p.driverRootLayer(ctx)
	if err != nil {
		return nil, err
	}
	driver, err := p.productLayer(ctx, "driver")
	if err != nil {
		return nil, err
	}
	scheduler, err := p.productLayer(ctx, "scheduler")
	if err != nil {
		return nil, err
	}
	return []image.Image{
		{Name: DriverImage, Layers: []image.Layer{root, driver}, Entrypoint: []string{"/usr/local/bin/driver"}, Env: []string{searchPath}},
		{Name: SchedulerImage, Layers: []image.Layer{scheduler}, Entrypoint: []string{"/usr/local/bin/scheduler"}, User: "65532:65532"},
	}, nil
}

// WriteUpdate writes an archive of the product's images for nodes that have the stock images and the given layers.
func (p *Preparer) WriteUpdate(ctx context.Context, path string, images []image.Image, had map[string]bool) error {
	root, err := p.driverRootLayer(ctx)
	if err != nil {
		return err
	}
	present := maps.Clone(had)
	present[root.Digest] = true
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := image.WriteArchive(file, images, present); err != nil {
		return err
	}
	return file.Close()
}

// imagesKey is a hash of everything that tells sets of images apart.
func imagesKey(images []image.Image) string {
	var parts []string
	for _, image := range images {
		parts = append(parts, image.Name, image.User, fmt.Sprint(image.Entrypoint, image.Cmd, image.Env))
		for _, layer := range image.Layers {
			parts = append(parts, layer.Digest)
		}
	}
	return key(parts...)
}

func (p *Preparer) productLayer(ctx context.Context, name string) (image.Layer, error) {
	program, err := p.Compile(ctx, "./cmd/"+name)
	if err != nil {
		return image.Layer{}, err
	}
	return p.fileLayer("product-"+name, "usr/local/bin/"+name, program)
}

// fileLayer holds one program, known by its content.
func (p *Preparer) fileLayer(layer, name, program string) (image.Layer, error) {
	sum, err := fileKey(program)
	if err != nil {
		return image.Layer{}, err
	}
	return p.cachedLayer(layer, sum, func(path string) (image.Layer, error) {
		return image.WriteLayer(path, programEntries(name, program))
	})
}

// programEntries lists a program with the directories above it, and a /tmp that any user can write.
func programEntries(name, source string) []image.Entry {
	entries := []image.Entry{{Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777}}
	for i, char := range name {
		if char == '/' {
			entries = append(entries, image.Entry{Name: name[:i], Mode: fs.ModeDir | 0o755})
		}
	}
	return append(entries, image.Entry{Name: name, Source: source, Mode: 0o755})
}

// programLayer holds one cached program at the root of the image.
func (p *Preparer) programLayer(name, program string) (image.Layer, error) {
	return p.cachedLayer(name, key(program), func(path string) (image.Layer, error) {
		return image.WriteLayer(path, programEntries(name, program))
	})
}

func (p *Preparer) pauseLayer(ctx context.Context) (image.Layer, error) {
	program, err := p.Compile(ctx, "./test/lab/cmd/pause")
	if err != nil {
		return image.Layer{}, err
	}
	return p.fileLayer("pause", "pause", program)
}

// busyboxProgram is the static busybox of Debian's busybox-static.
const busyboxProgram = "/bin/busybox"

func (p *Preparer) busyboxLayer() (image.Layer, error) {
	info, err := os.Stat(busyboxProgram)
	if err != nil {
		return image.Layer{}, err
	}
	version := fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	return p.cachedLayer("busybox", key(version), func(path string) (image.Layer, error) {
		applets, err := exec.Command(busyboxProgram, "--list").Output()
		if err != nil {
			return image.Layer{}, fmt.Errorf("list applets: %w", err)
		}
		return image.WriteLayer(path, busyboxEntries(strings.Fields(string(bytes.TrimSpace(applets)))))
	})
}

// busyboxEntries lists busybox with a link for each of its applets.
func busyboxEntries(applets []string) []image.Entry {
	entries := []image.Entry{
		{Name: "bin", Mode: fs.ModeDir | 0o755},
		{Name: "bin/busybox", Source: busyboxProgram, Mode: 0o755},
		{Name: "etc", Mode: fs.ModeDir | 0o755},
		{Name: "etc/passwd", Content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", Mode: 0o644},
		{Name: "etc/group", Content: "root:x:0:\nnogroup:x:65534:\n", Mode: 0o644},
		{Name: "root", Mode: fs.ModeDir | 0o700},
		{Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Name: "usr", Mode: fs.ModeDir | 0o755},
		{Name: "usr/bin", Link: "../bin"},
		{Name: "sbin", Link: "bin"},
	}
	for _, applet := range applets {
		if applet != "busybox" {
			entries = append(entries, image.Entry{Name: "bin/" + applet, Link: "busybox"})
		}
	}
	return entries
}
