package prepare

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

func TestSnapshotImagesAreNamedAfterTheModule(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "binaries", "snapshotter", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{SnapshotterImage, SnapshotControllerImage} {
		_, version, _ := strings.Cut(name, ":")
		if !strings.Contains(string(content), "github.com/kubernetes-csi/external-snapshotter/v8 "+version+" ") {
			t.Errorf("%s: the module has another version", name)
		}
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

func TestRemoveUnusedKeepsHeldAndRecentDisks(t *testing.T) {
	dir := t.TempDir()
	modified := time.Unix(1000, 0)
	// From the one used longest ago: oldest, held, recent1 to recent3.
	for i, name := range []string{"oldest", "held", "recent1", "recent2", "recent3"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o444); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(int64(2000+i), 0), modified); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, ".new-1", "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(dir, "held"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	if err := removeUnused(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if want := []string{"held", "recent1", "recent2", "recent3"}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func TestHoldDiskKeepsTheModificationTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	modified := time.Unix(1000, 123456789)
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
	file, err := HoldDisk(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime().Equal(modified) || !accessTime(path).After(modified) {
		t.Errorf("modified %v, used %v", info.ModTime(), accessTime(path))
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
