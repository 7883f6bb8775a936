package manifests

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/berth-dev/berth/pkg/agent"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

const root = "../../manifests"

// notObjects are files that client-go's scheme does not know: kustomize's own, configuration files of our processes,
// and the generated CRDs, which the API servers of the integration and end-to-end tests read.
func notObjects(path string) bool {
	name := filepath.Base(path)
	return name == "kustomization.yaml" || name == "config.yaml" || strings.HasPrefix(path, filepath.Join(root, "crds"))
}

// objects returns every object of the manifests by the file it stands in. Unknown and duplicate fields fail the test.
func objects(t *testing.T) map[string][]runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	found := map[string][]runtime.Object{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" || notObjects(path) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, document := range split(t, path, data) {
			if isSnapshotObject(document) {
				continue
			}
			object, _, err := decoder.Decode(document, nil, nil)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			found[path] = append(found[path], object)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// split returns the documents of a YAML file.
func split(t *testing.T, path string, data []byte) [][]byte {
	t.Helper()
	reader := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(data)))
	defer reader.Close()
	var documents [][]byte
	buffer := make([]byte, len(data))
	for {
		n, err := reader.Read(buffer)
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		documents = append(documents, bytes.Clone(buffer[:n]))
	}
}

func TestObjectsDecodeStrictly(t *testing.T) {
	var count int
	for _, list := range objects(t) {
		count += len(list)
	}
	// 2 workloads and a DaemonSet, their RBAC, the policy, the classes and the examples: far more than a dozen.
	if count < 12 {
		t.Errorf("%d objects under %s", count, root)
	}
}

// Every StorageClass is ours, waits for its pod, and has parameters that driver and scheduler know, with a device
// class that the shipped configuration serves.
func TestStorageClasses(t *testing.T) {
	classes := 0
	for path, list := range objects(t) {
		for _, object := range list {
			class, ok := object.(*storagev1.StorageClass)
			if !ok {
				continue
			}
			classes++
			if class.Provisioner != v1alpha1.DriverName {
				t.Errorf("%s: provisioner %s", path, class.Provisioner)
			}
			if class.VolumeBindingMode == nil || *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer {
				t.Errorf("%s: volumeBindingMode %v", path, class.VolumeBindingMode)
			}
			if _, err := lvm.ParseParameters(class.Parameters); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if classes == 0 {
		t.Error("no StorageClass")
	}
}

func TestCSIDriver(t *testing.T) {
	var drivers []*storagev1.CSIDriver
	for _, list := range objects(t) {
		drivers = append(drivers, only[*storagev1.CSIDriver](list)...)
	}
	if len(drivers) != 1 || drivers[0].Name != v1alpha1.DriverName {
		t.Fatalf("CSIDrivers %v, want %s", drivers, v1alpha1.DriverName)
	}
}

// only returns the objects of one type.
func only[T runtime.Object](list []runtime.Object) []T {
	var found []T
	for _, object := range list {
		if object, ok := object.(T); ok {
			found = append(found, object)
		}
	}
	return found
}

// The examples name our scheduler: without it a burst of pods could over-commit a node for a moment.
func TestExamplesNameTheScheduler(t *testing.T) {
	workloads := 0
	for path, list := range objects(t) {
		if !strings.HasPrefix(path, filepath.Join(root, "examples")) {
			continue
		}
		for _, object := range list {
			var spec corev1.PodSpec
			switch workload := object.(type) {
			case *corev1.Pod:
				spec = workload.Spec
			case *appsv1.StatefulSet:
				spec = workload.Spec.Template.Spec
			default:
				continue
			}
			workloads++
			if spec.SchedulerName != "berth-scheduler" {
				t.Errorf("%s: schedulerName %q", path, spec.SchedulerName)
			}
		}
	}
	if workloads == 0 {
		t.Error("no example has a pod")
	}
}

func TestAgentConfig(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "driver", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.ParseConfig(data); err != nil {
		t.Error(err)
	}
}

// The commented part of the configuration is an example that works once its marks are taken away.
func TestAgentConfigExample(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "driver", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := bytes.Cut(data, []byte("\n# nodes:\n"))
	if !found {
		t.Fatal("no commented example of nodes")
	}
	uncommented := bytes.ReplaceAll(append([]byte("\n# nodes:\n"), example...), []byte("\n# "), []byte("\n"))
	if _, err := agent.ParseConfig(append(data, uncommented...)); err != nil {
		t.Error(err)
	}
}
