package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// readTar returns the headers in order and the contents by name.
func readTar(t *testing.T, in io.Reader) ([]*tar.Header, map[string][]byte) {
	t.Helper()
	var headers []*tar.Header
	contents := map[string][]byte{}
	for archive := tar.NewReader(in); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, header)
		contents[header.Name] = content
	}
}

func writeLayer(t *testing.T, entries ...Entry) Layer {
	t.Helper()
	layer, err := WriteLayer(filepath.Join(t.TempDir(), "layer.tar"), entries)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func TestLayerHoldsEntriesAsGiven(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	layer := writeLayer(t,
		Entry{Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		Entry{Name: "bin/program", Source: source, Mode: 0o755},
		Entry{Name: "bin/link", Link: "program"},
		Entry{Name: "etc/text", Content: "text", Mode: 0o644},
	)
	file, err := os.Open(layer.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	headers, contents := readTar(t, file)
	want := []struct {
		name string
		kind byte
		mode int64
		link string
	}{
		{"tmp/", tar.TypeDir, 0o1777, ""},
		{"bin/program", tar.TypeReg, 0o755, ""},
		{"bin/link", tar.TypeSymlink, 0o777, "program"},
		{"etc/text", tar.TypeReg, 0o644, ""},
	}
	if len(headers) != len(want) {
		t.Fatalf("%d entries, want %d", len(headers), len(want))
	}
	for i, w := range want {
		h := headers[i]
		if h.Name != w.name || h.Typeflag != w.kind || h.Mode != w.mode || h.Linkname != w.link || h.Uid != 0 {
			t.Errorf("entry %d: %s %c %o %q owner %d, want %+v", i, h.Name, h.Typeflag, h.Mode, h.Linkname, h.Uid, w)
		}
	}
	if string(contents["bin/program"]) != "binary" || string(contents["etc/text"]) != "text" {
		t.Errorf("contents %q", contents)
	}
}

func TestEqualTreesHaveEqualDigests(t *testing.T) {
	digest := func() string {
		root := t.TempDir()
		for _, name := range []string{"b", "a", "c/d"} {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("a", filepath.Join(root, "link")); err != nil {
			t.Fatal(err)
		}
		layer, err := WriteTreeLayer(filepath.Join(t.TempDir(), "tree.tar"), root)
		if err != nil {
			t.Fatal(err)
		}
		return layer.Digest
	}
	if first, second := digest(), digest(); first != second {
		t.Errorf("digests %s and %s", first, second)
	}
}

func TestArchiveIsAnImageLayout(t *testing.T) {
	shared := writeLayer(t, Entry{Name: "shared", Content: "1"})
	own := writeLayer(t, Entry{Name: "own", Content: "2"})
	images := []Image{
		{Name: "example.com/a:1", Layers: []Layer{shared, own}, Entrypoint: []string{"/own"}, User: "1:1"},
		{Name: "example.com/b:1", Layers: []Layer{shared}, Cmd: []string{"sh"}},
	}
	cases := map[string]struct {
		present   map[string]bool
		wantBlobs []string
	}{
		"everything":      {wantBlobs: []string{shared.Digest, own.Digest}},
		"one layer known": {present: map[string]bool{shared.Digest: true}, wantBlobs: []string{own.Digest}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := WriteArchive(&out, images, c.present); err != nil {
				t.Fatal(err)
			}
			headers, contents := readTar(t, &out)
			if len(headers) != len(contents) {
				t.Errorf("%d entries with %d names: something stands twice", len(headers), len(contents))
			}
			for _, layer := range []Layer{shared, own} {
				_, found := contents[blobName(layer.Digest)]
				if want := slices.Contains(c.wantBlobs, layer.Digest); found != want {
					t.Errorf("layer %s in the archive: %v, want %v", layer.Digest, found, want)
				}
			}
			checkImages(t, contents, images)
		})
	}
}

// checkImages follows the digests from the index as a reader of the archive does.
func checkImages(t *testing.T, contents map[string][]byte, images []Image) {
	t.Helper()
	var list index
	decode(t, contents["index.json"], &list)
	if len(list.Manifests) != len(images) {
		t.Fatalf("%d manifests, want %d", len(list.Manifests), len(images))
	}
	for i, entry := range list.Manifests {
		if got := entry.Annotations[annotationName]; got != images[i].Name {
			t.Errorf("image %d is called %q, want %q", i, got, images[i].Name)
		}
		var body manifest
		decode(t, blob(t, contents, entry), &body)
		var config imageConfig
		decode(t, blob(t, contents, body.Config), &config)
		if !slices.Equal(config.Config.Entrypoint, images[i].Entrypoint) || !slices.Equal(config.Config.Cmd, images[i].Cmd) ||
			config.Config.User != images[i].User {
			t.Errorf("image %d: config %+v", i, config.Config)
		}
		var wantLayers []string
		for _, layer := range images[i].Layers {
			wantLayers = append(wantLayers, layer.Digest)
		}
		if !slices.Equal(config.RootFS.DiffIDs, wantLayers) || len(body.Layers) != len(wantLayers) {
			t.Errorf("image %d: diff IDs %v, %d layers, want %v", i, config.RootFS.DiffIDs, len(body.Layers), wantLayers)
		}
	}
}

func blob(t *testing.T, contents map[string][]byte, entry descriptor) []byte {
	t.Helper()
	content := contents[blobName(entry.Digest)]
	sum := sha256.Sum256(content)
	if digestOf(sum[:]) != entry.Digest || int64(len(content)) != entry.Size {
		t.Fatalf("blob %s: digest %s, %d bytes, want %d", entry.Digest, digestOf(sum[:]), len(content), entry.Size)
	}
	return content
}

func decode(t *testing.T, content []byte, value any) {
	t.Helper()
	if err := json.Unmarshal(content, value); err != nil {
		t.Fatalf("%v in %q", err, content)
	}
}
