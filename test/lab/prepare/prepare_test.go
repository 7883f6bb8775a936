package prepare

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-dev/berth/test/lab/image"
)

func TestProgramEntriesListEveryDirectoryAbove(t *testing.T) {
	var names []string
	for _, entry := range programEntries("usr/local/bin/driver", "/src") {
		names = append(names, entry.Name)
	}
	want := []string{"tmp", "usr", "usr/local", "usr/local/bin", "usr/local/bin/driver"}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestBusyboxEntriesLinkEveryApplet(t *testing.T) {
	links := map[string]string{}
	for _, entry := range busyboxEntries([]string{"ash", "busybox", "wget"}) {
		if entry.Link != "" {
			links[entry.Name] = entry.Link
		}
	}
	if links["bin/ash"] != "busybox" || links["bin/wget"] != "busybox" {
		t.Errorf("links %v", links)
	}
	if _, ok := links["bin/busybox"]; ok {
		t.Error("busybox links to itself")
	}
}

func TestImagesKeyTellsImagesApart(t *testing.T) {
	base := image.Image{Name: "a:1", Layers: []image.Layer{{Digest: "sha256:1"}}, Entrypoint: []string{"/a"}}
	named, layered, started := base, base, base
	named.Name = "a:2"
	layered.Layers = []image.Layer{{Digest: "sha256:2"}}
	started.Entrypoint = []string{"/b"}
	seen := map[string]bool{imagesKey([]image.Image{base}): true}
	for _, other := range []image.Image{named, layered, started} {
		key := imagesKey([]image.Image{other})
		if seen[key] {
			t.Errorf("%+v has the key of another image", other)
		}
		seen[key] = true
	}
}

func TestCachedLayer(t *testing.T) {
	p := &Preparer{Cache: t.TempDir(), Progress: t.Logf}
	made := 0
	layer := func(name, key string) image.Layer {
		t.Helper()
		got, err := p.cachedLayer(name, key, func(path string) (image.Layer, error) {
			made++
			return image.WriteLayer(path, []image.Entry{{Name: "f", Content: name + key}})
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(got.Path); err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := layer("a", key("1"))
	other := layer("a-b", key("1"))
	if again := layer("a", key("1")); again != first || made != 2 {
		t.Errorf("got %+v after %d makes, want %+v after 2", again, made, first)
	}
	layer("a", key("2"))
	if exists(first.Path) {
		t.Error("the layer that was replaced is there")
	}
	if !exists(other.Path) {
		t.Error("the layer whose name begins alike is gone")
	}
}

func TestRemoveUnusedKeepsHeldDisks(t *testing.T) {
	dir := t.TempDir()
	paths := map[string]string{}
	for _, name := range []string{"held", "free"} {
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, ".new-1", "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	held, err := HoldDisk(paths["held"])
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := removeUnused(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "held" {
		t.Errorf("left: %v, want held alone", entries)
	}
}

func TestUriLinesAreRead(t *testing.T) {
	const output = `Reading package lists...
'http://mirror/pool/main/l/lvm2/lvm2_2.03.16-2_amd64.deb' lvm2_2.03.16-2_amd64.deb 1229404 MD5Sum:0
'http://mirror/pool/main/p/python3/python3_3.11_amd64.deb' python3_3.11_amd64.deb 1 MD5Sum:0
'http://mirror/pool/main/a/acl/libacl1_2%3a2.3_amd64.deb' libacl1_2%3a2.3_amd64.deb 1 MD5Sum:0
`
	want := []string{"lvm2_2.03.16-2_amd64.deb", "libacl1_2%3a2.3_amd64.deb"}
	if got := parseURIs(output); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
