package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Image is a named image for linux/amd64.
type Image struct {
	// Name is the full reference that pods use, registry and tag included.
	Name string
	// Layers are ordered from the lowest.
	Layers []Layer
	// Entrypoint is the start command.
	Entrypoint []string
	// Cmd holds default arguments.
	Cmd []string
	// User is "uid:gid"; empty means root.
	User string
	// Env holds NAME=value pairs.
	Env []string
}

const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	// annotationName is where containerd's import finds the image's full name.
	annotationName = "io.containerd.image.name"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type imageConfig struct {
	Architecture string        `json:"architecture"`
	OS           string        `json:"os"`
	Config       runtimeConfig `json:"config"`
	RootFS       rootFS        `json:"rootfs"`
}

type runtimeConfig struct {
	User       string   `json:"User,omitempty"`
	Env        []string `json:"Env,omitempty"`
	Entrypoint []string `json:"Entrypoint,omitempty"`
	Cmd        []string `json:"Cmd,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// WriteArchive writes the images to out as one OCI image layout. Layers whose digest is in present are referred to
// and left out.
func WriteArchive(out io.Writer, images []Image, present map[string]bool) error {
	writer := &archiveWriter{tar: tar.NewWriter(out), written: map[string]bool{}}
	if err := writer.write(images, present); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return nil
}

type archiveWriter struct {
	tar *tar.Writer
	// written holds the digests in the archive: images share layers.
	written map[string]bool
}

func (w *archiveWriter) write(images []Image, present map[string]bool) error {
	list := index{SchemaVersion: 2, MediaType: mediaIndex}
	for _, image := range images {
		entry, err := w.image(image, present)
		if err != nil {
			return fmt.Errorf("%s: %w", image.Name, err)
		}
		list.Manifests = append(list.Manifests, entry)
	}
	content, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := w.file("index.json", content); err != nil {
		return err
	}
	if err := w.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	return w.tar.Close()
}

func (w *archiveWriter) image(image Image, present map[string]bool) (descriptor, error) {
	config := imageConfig{
		Architecture: "amd64", OS: "linux",
		Config: runtimeConfig{User: image.User, Env: image.Env, Entrypoint: image.Entrypoint, Cmd: image.Cmd},
		RootFS: rootFS{Type: "layers"},
	}
	body := manifest{SchemaVersion: 2, MediaType: mediaManifest}
	for _, layer := range image.Layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
		body.Layers = append(body.Layers, descriptor{MediaType: mediaLayer, Digest: layer.Digest, Size: layer.SizeBytes})
		if present[layer.Digest] {
			continue
		}
		if err := w.layer(layer); err != nil {
			return descriptor{}, err
		}
	}
	var err error
	if body.Config, err = w.json(mediaConfig, config); err != nil {
		return descriptor{}, err
	}
	entry, err := w.json(mediaManifest, body)
	entry.Annotations = map[string]string{annotationName: image.Name}
	entry.Platform = &platform{Architecture: "amd64", OS: "linux"}
	return entry, err
}

func (w *archiveWriter) layer(layer Layer) error {
	if w.written[layer.Digest] {
		return nil
	}
	w.written[layer.Digest] = true
	header := &tar.Header{Name: blobName(layer.Digest), Mode: 0o644, ModTime: epoch}
	return copyFile(w.tar, header, layer.Path)
}

func (w *archiveWriter) json(mediaType string, value any) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	sum := sha256.Sum256(content)
	digest := digestOf(sum[:])
	entry := descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(content))}
	if w.written[digest] {
		return entry, nil
	}
	w.written[digest] = true
	return entry, w.file(blobName(digest), content)
}

func (w *archiveWriter) file(name string, content []byte) error {
	header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: epoch}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.tar.Write(content)
	return err
}

func blobName(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }
