package manifests

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	storagev1 "k8s.io/api/storage/v1"
	"sigs.k8s.io/yaml"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// isSnapshotObject tells of a document that it is of the snapshots' custom resources, which client-go does not know.
func isSnapshotObject(document []byte) bool {
	return bytes.Contains(document, []byte("\napiVersion: snapshot.storage.k8s.io/")) ||
		bytes.HasPrefix(document, []byte("apiVersion: snapshot.storage.k8s.io/"))
}

func TestVolumeAttributesClasses(t *testing.T) {
	classes := 0
	for path, list := range objects(t) {
		for _, class := range only[*storagev1.VolumeAttributesClass](list) {
			classes++
			if class.DriverName != v1alpha1.DriverName {
				t.Errorf("%s: driver %s", path, class.DriverName)
			}
			if _, err := lvm.ParseMutableParameters(class.Parameters); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if classes == 0 {
		t.Error("no VolumeAttributesClass")
	}
}

func TestVolumeSnapshotClass(t *testing.T) {
	path := filepath.Join(root, "examples", "snapshot.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, document := range split(t, path, data) {
		if !isSnapshotObject(document) {
			continue
		}
		var class struct {
			Kind, Driver, DeletionPolicy string
			Parameters                   map[string]string
		}
		if err := yaml.Unmarshal(document, &class); err != nil {
			t.Fatal(err)
		}
		if kinds[class.Kind]++; class.Kind != "VolumeSnapshotClass" {
			continue
		}
		if class.Driver != v1alpha1.DriverName || class.DeletionPolicy != "Delete" {
			t.Errorf("driver %q, deletion policy %q", class.Driver, class.DeletionPolicy)
		}
		if _, err := lvm.ParseSnapshotParameters(class.Parameters); err != nil {
			t.Error(err)
		}
	}
	if kinds["VolumeSnapshotClass"] != 1 || kinds["VolumeSnapshot"] != 1 {
		t.Errorf("objects of the snapshots' custom resources: %v", kinds)
	}
}

// The user guide's tables of parameters list what the code knows, and nothing else.
func TestUserGuideListsParameters(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "user-guide.md"))
	if err != nil {
		t.Fatal(err)
	}
	for title, want := range map[string][]string{
		"StorageClass parameters":          lvm.StorageClassParameters(),
		"VolumeSnapshotClass parameters":   lvm.SnapshotClassParameters(),
		"VolumeAttributesClass parameters": lvm.AttributesClassParameters(),
	} {
		if got := keysUnder(string(data), title); !slices.Equal(got, want) {
			t.Errorf("%s: the table lists %q, the code knows %q", title, got, want)
		}
	}
}

// keysUnder returns the first column of the first table under a heading, which holds keys as code.
func keysUnder(text, title string) []string {
	_, section, found := strings.Cut(text, "## "+title+"\n")
	if !found {
		return nil
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var keys []string
	for line := range strings.Lines(section) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			key, _, _ := strings.Cut(rest, "`")
			keys = append(keys, key)
		} else if len(keys) > 0 {
			break
		}
	}
	return keys
}
