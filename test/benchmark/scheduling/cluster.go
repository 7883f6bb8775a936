package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/test/controlplane"
)

// writers is how many objects are written at once, by the benchmark and by the driver.
const writers = 32

// cluster is a control plane of its own and clients of it.
type cluster struct {
	*controlplane.ControlPlane
	dir   string
	kube  kubernetes.Interface
	berth client.Interface
}

func newCluster(ctx context.Context, dir string, programs map[string]string) (*cluster, error) {
	plane, err := controlplane.Start(ctx, dir, programs)
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(plane.Config)
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	c := &cluster{ControlPlane: plane, dir: dir}
	if c.kube, err = kubernetes.NewForConfig(config); err == nil {
		c.berth, err = client.New(config)
	}
	if err != nil {
		plane.Stop()
		return nil, err
	}
	return c, nil
}

// populate installs Berth's API and makes the nodes, with what their agents publish and a CSIStorageCapacity each.
func (c *cluster) populate(ctx context.Context, repository string, nodes int) error {
	for _, object := range []struct {
		resource schema.GroupVersionResource
		manifest string
	}{
		{schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "namespace.yaml"},
		{crds, "crds/berth.dev_nodestorages.yaml"},
		{crds, "crds/berth.dev_logicalvolumes.yaml"},
		{storagev1.SchemeGroupVersion.WithResource("csidrivers"), "driver/csidriver.yaml"},
	} {
		if err := c.apply(ctx, object.resource, filepath.Join(repository, "manifests", object.manifest)); err != nil {
			return err
		}
	}
	if err := c.awaitCustomResources(ctx); err != nil {
		return err
	}
	if _, err := c.kube.StorageV1().StorageClasses().Create(ctx, storageClass(), metav1.CreateOptions{}); err != nil {
		return err
	}
	return inParallel(ctx, nodes, func(i int) error { return c.addNode(ctx, nodeName(i), i) })
}

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// apply creates the one object of a manifest.
func (c *cluster) apply(ctx context.Context, resource schema.GroupVersionResource, manifest string) error {
	content, err := os.ReadFile(manifest)
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(content, &object.Object); err != nil {
		return fmt.Errorf("%s: %w", manifest, err)
	}
	config, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	if _, err := config.Resource(resource).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("%s: %w", manifest, err)
	}
	return nil
}

func (c *cluster) awaitCustomResources(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err1 := c.berth.NodeStorages().List(ctx, metav1.ListOptions{})
		_, err2 := c.berth.LogicalVolumes().List(ctx, metav1.ListOptions{})
		return err1 == nil && err2 == nil, nil
	})
}

// setStorageCapacity changes the CSIDriver object.
func (c *cluster) setStorageCapacity(ctx context.Context, value bool) error {
	driver, err := c.kube.StorageV1().CSIDrivers().Get(ctx, driverName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	driver.Spec.StorageCapacity = &value
	_, err = c.kube.StorageV1().CSIDrivers().Update(ctx, driver, metav1.UpdateOptions{})
	return err
}

// inParallel calls do for 0 ≤ i < count, many at a time, and returns the first error, after which no new call starts.
func inParallel(ctx context.Context, count int, do func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var group sync.WaitGroup
	for range min(writers, count) {
		group.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < count && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}
