//go:build integration

// Package integration runs the real scheduler binary with the shipped configuration against a real API server and
// etcd. There are no nodes and no LVM: Node objects are made by the tests, and a driver in memory (fakedriver_test.go)
// answers selected-node as csi-provisioner, controller and agents do.
//
// The programs are taken from the directory BERTH_BIN_DIR, or from the lab's cache, where they are built when missing.
package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
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
	dir          string
	config       *rest.Config
	kube         kubernetes.Interface
	berth        client.Interface
	schedulerURL string
}

// newEnvironment starts everything; it ends with the test, and with the test process whatever ends that.
func newEnvironment(t *testing.T) *environment {
	t.Helper()
	e := &environment{dir: t.TempDir()}
	e.startAPIServer(t, programs(t))
	config := rest.CopyConfig(e.config)
	config.QPS, config.Burst = 500, 1000
	e.kube = kubernetes.NewForConfigOrDie(config)
	berth, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	e.berth = berth
	e.apply(t, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "manifests/namespace.yaml")
	e.startScheduler(t)
	return e
}

// programs maps a program's name to its path.
func programs(t *testing.T) map[string]string {
	t.Helper()
	if dir := os.Getenv("BERTH_BIN_DIR"); dir != "" {
		return map[string]string{"etcd": filepath.Join(dir, "etcd"), "kube-apiserver": filepath.Join(dir, "kube-apiserver")}
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
	for group, program := range map[string]string{"etcd": "etcd", "kubernetes": "kube-apiserver"} {
		i := slices.IndexFunc(toolchain.Groups(), func(g toolchain.Group) bool { return g.Name == group })
		dir, err := builder.Build(t.Context(), toolchain.Groups()[i])
		if err != nil {
			t.Fatal(err)
		}
		paths[program] = filepath.Join(dir, program)
	}
	return paths
}

// startScheduler builds cmd/scheduler and runs it with the configuration that is shipped, on which only the way to the
// API server is changed.
func (e *environment) startScheduler(t *testing.T) {
	t.Helper()
	binary := filepath.Join(e.dir, "scheduler")
	if err := toolchain.Compile(t.Context(), repository, "./cmd/scheduler", binary); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(repository, "manifests", "scheduler", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	config["clientConnection"] = map[string]any{"kubeconfig": e.writeKubeconfig(t)}
	content, err = yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	path := e.write(t, "scheduler.yaml", content)
	port := freePort(t)
	e.schedulerURL = fmt.Sprintf("https://127.0.0.1:%d", port)
	run(t, e.dir, binary, "--config="+path, "--v=4", "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir="+filepath.Join(e.dir, "scheduler-certificates"),
		"--authentication-skip-lookup", "--authorization-always-allow-paths=/healthz,/metrics")
	e.await(t, time.Minute, "scheduler healthy", func(context.Context) (bool, error) {
		_, err := e.get("/healthz")
		return err == nil, nil
	})
}

// get reads a page of the scheduler.
func (e *environment) get(path string) (string, error) {
	httpClient := http.Client{Transport: insecureTransport(), Timeout: 5 * time.Second}
	response, err := httpClient.Get(e.schedulerURL + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return string(body), err
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
