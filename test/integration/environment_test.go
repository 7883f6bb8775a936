//go:build integration

// Package integration runs the real scheduler binary with the shipped configuration against a real API server and
// etcd. There are no nodes and no LVM: Node objects are made by the tests, and a driver in memory (fakedriver_test.go)
// answers selected-node as csi-provisioner, controller and agents do.
//
// The programs are taken from the directory BERTH_BIN_DIR, or from the lab's cache, where they are built when missing.
package integration

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/test/controlplane"
)

const repository = "../.."

// environment is an API server, our scheduler on it, and clients.
type environment struct {
	dir      string
	programs map[string]string
	plane    *controlplane.ControlPlane
	config   *rest.Config
	kube     kubernetes.Interface
	berth    client.Interface
	// scheduler is the one of pods that name no other.
	*scheduler
}

// newEnvironment starts everything; it ends with the test, and with the test process whatever ends that.
func newEnvironment(t *testing.T) *environment {
	t.Helper()
	e := &environment{dir: t.TempDir()}
	e.startControlPlane(t)
	config := rest.CopyConfig(e.config)
	config.QPS, config.Burst = 500, 1000
	e.kube = kubernetes.NewForConfigOrDie(config)
	berth, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	e.berth = berth
	e.apply(t, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "manifests/namespace.yaml")
	e.apply(t, schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "csidrivers"}, "manifests/driver/csidriver.yaml")
	e.buildScheduler(t)
	e.scheduler = e.startScheduler(t, defaultScheduler)
	return e
}

// startControlPlane starts etcd and an API server.
func (e *environment) startControlPlane(t *testing.T) {
	t.Helper()
	var err error
	if e.programs, err = controlplane.Programs(t.Context(), repository, t.Logf); err != nil {
		t.Fatal(err)
	}
	if e.plane, err = controlplane.Start(t.Context(), e.dir, e.programs); err != nil {
		t.Fatal(err)
	}
	e.config = e.plane.Config
	t.Cleanup(func() {
		e.plane.Stop()
		if t.Failed() {
			t.Log(e.plane.Logs())
		}
	})
}

// apply creates the one object of a manifest.
func (e *environment) apply(t *testing.T, resource schema.GroupVersionResource, manifest string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, manifest))
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(content, &object.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := dynamic.NewForConfigOrDie(e.config).Resource(resource).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("%s: %v", manifest, err)
	}
}

// installCustomResources creates Berth's CRDs and waits until they are served.
func (e *environment) installCustomResources(t *testing.T) {
	t.Helper()
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	e.apply(t, crds, "manifests/crds/berth.dev_nodestorages.yaml")
	e.apply(t, crds, "manifests/crds/berth.dev_logicalvolumes.yaml")
	e.await(t, 30*time.Second, "custom resources served", func(ctx context.Context) (bool, error) {
		_, err1 := e.berth.NodeStorages().List(ctx, metav1.ListOptions{})
		_, err2 := e.berth.LogicalVolumes().List(ctx, metav1.ListOptions{})
		return err1 == nil && err2 == nil, nil
	})
}

// await calls done until it is true, fails, or time is up.
func (e *environment) await(t *testing.T, limit time.Duration, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		ok, err := done(ctx)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, limit)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
