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
	"slices"
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
	"github.com/berth-dev/berth/test/lab/toolchain"
)

const repository = "../.."

// environment is an API server, our scheduler on it, and clients.
type environment struct {
	dir      string
	programs map[string]string
	config   *rest.Config
	kube     kubernetes.Interface
	berth    client.Interface
	// scheduler is the one of pods that name no other.
	*scheduler
}

// newEnvironment starts everything; it ends with the test, and with the test process whatever ends that.
func newEnvironment(t *testing.T) *environment {
	t.Helper()
	e := &environment{dir: t.TempDir(), programs: programs(t)}
	e.startAPIServer(t)
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

// programs maps a program's name to its path.
func programs(t *testing.T) map[string]string {
	t.Helper()
	if dir := os.Getenv("BERTH_BIN_DIR"); dir != "" {
		paths := map[string]string{}
		for _, program := range []string{"etcd", "kube-apiserver", "kube-scheduler"} {
			paths[program] = filepath.Join(dir, program)
		}
		return paths
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	builder := toolchain.Builder{
		Modules: filepath.Join(repository, "test", "lab", "binaries"), Cache: filepath.Join(cache, "berth", "bin"),
		Progress: t.Logf,
	}
	paths := map[string]string{}
	for group, programs := range map[string][]string{"etcd": {"etcd"}, "kubernetes": {"kube-apiserver", "kube-scheduler"}} {
		i := slices.IndexFunc(toolchain.Groups(), func(g toolchain.Group) bool { return g.Name == group })
		dir, err := builder.Build(t.Context(), toolchain.Groups()[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range programs {
			paths[program] = filepath.Join(dir, program)
		}
	}
	return paths
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
