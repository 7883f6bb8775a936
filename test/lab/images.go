package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"

	"github.com/berth-dev/berth/test/lab/image"
	"github.com/berth-dev/berth/test/lab/layout"
)

// LoadImage imports an image archive on every node.
func (c *Cluster) LoadImage(ctx context.Context, progress Progress, archive string) error {
	archive, err := filepath.Abs(archive)
	if err != nil {
		return err
	}
	if _, err := os.Stat(archive); err != nil {
		return err
	}
	results := make(chan error)
	for _, node := range c.config.Nodes {
		go func() {
			// The node sees the host's files under the same path.
			_, err := c.Node(ctx, node.Name, "ctr", "--namespace", "k8s.io", "images", "import", "--all-platforms", archive)
			if err == nil {
				progress("images loaded on %s", node.Name)
			}
			results <- err
		}()
	}
	var errs []error
	for range c.config.Nodes {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// makeDisk makes the disk with all images that the cluster starts with. The caller holds the preparer's lock.
func (m *maker) makeDisk(ctx context.Context, programs map[string]string) (*os.File, error) {
	images, err := m.preparer.StockImages(ctx, programs)
	if err != nil {
		return nil, err
	}
	if m.options.Config.StorageSuite {
		suite, err := m.preparer.StorageSuiteImages(ctx, programs)
		if err != nil {
			return nil, err
		}
		images = append(images, suite...)
	}
	if len(m.options.Manifests) > 0 {
		product, err := m.buildProduct(ctx)
		if err != nil {
			return nil, err
		}
		if err := m.recordProduct(product); err != nil {
			return nil, err
		}
		images = append(images, product...)
	}
	return m.preparer.Disk(ctx, images, programs)
}

func (m *maker) buildProduct(ctx context.Context) ([]image.Image, error) {
	m.options.Progress("building the driver and scheduler images")
	return m.preparer.ProductImages(ctx)
}

func (m *maker) recordProduct(images []image.Image) error {
	return layout.WriteJSON(m.state.ProductLayers(), layerDigests(images))
}

func layerDigests(images []image.Image) map[string]bool {
	digests := map[string]bool{}
	for _, image := range images {
		for _, layer := range image.Layers {
			digests[layer.Digest] = true
		}
	}
	return digests
}

// updateImages builds the product's images and loads them on the nodes when they are not those that the nodes have.
func (m *maker) updateImages(ctx context.Context, c *Cluster) (changed bool, err error) {
	if len(m.options.Manifests) == 0 {
		return false, nil
	}
	unlock, err := m.preparer.Lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	images, err := m.buildProduct(ctx)
	if err != nil {
		return false, err
	}
	had := map[string]bool{}
	if err := layout.ReadJSON(m.state.ProductLayers(), &had); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if reflect.DeepEqual(had, layerDigests(images)) {
		return false, nil
	}
	dir, err := os.MkdirTemp(m.state.Dir(), "update-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "product.tar")
	if err := m.preparer.WriteUpdate(ctx, archive, images, had); err != nil {
		return false, err
	}
	if err := c.LoadImage(ctx, m.options.Progress, archive); err != nil {
		return false, err
	}
	return true, m.recordProduct(images)
}
