package prepare

import (
	"context"

	"github.com/berth-dev/berth/test/lab/image"
)

// Names of the images that Kubernetes' storage suite of that version asks for, beside BusyboxImage and PauseImage.
const (
	AgnhostImage = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"
	NginxImage   = "registry.k8s.io/e2e-test-images/nginx:1.27.0-2"
	GlibcImage   = "registry.k8s.io/e2e-test-images/glibc-dns-testing:2.1.1"
)

// StorageSuiteImages returns what the storage suite needs beside StockImages. Its specs use agnhost for its commands and a
// shell, nginx for a shell alone, and the image for DNS tests for GNU dd, which can do direct I/O.
func (p *Preparer) StorageSuiteImages(ctx context.Context, programs map[string]string) ([]image.Image, error) {
	busybox, err := p.busyboxLayer()
	if err != nil {
		return nil, err
	}
	glibc, err := p.driverRootLayer(ctx)
	if err != nil {
		return nil, err
	}
	// Those specs use grep besides, which the driver's packages do not bring.
	grep, err := p.fileLayer("grep", "usr/local/bin/grep", busyboxProgram)
	if err != nil {
		return nil, err
	}
	shell := image.Image{Name: NginxImage, Layers: []image.Layer{busybox}, Cmd: []string{"sh"}, Env: []string{searchPath}}
	gnu := shell
	gnu.Name, gnu.Layers = GlibcImage, []image.Layer{glibc, grep}
	agnhost, err := p.programLayer("agnhost", programs["agnhost"])
	if err != nil {
		return nil, err
	}
	// As agnhost's own image has it: pods that give no command wait.
	waits := image.Image{
		Name: AgnhostImage, Layers: []image.Layer{busybox, agnhost}, Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}, Env: []string{searchPath},
	}
	return []image.Image{shell, gnu, waits}, nil
}
