package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Layer is one uncompressed tar file.
type Layer struct {
	// Path is the file's place.
	Path string
	// Digest is the "sha256:..." of the file. As the layer is not compressed, it is its diff ID too.
	Digest string
	// SizeBytes is the file's size.
	SizeBytes int64
}

// Entry is one file, directory or symbolic link of a layer that is listed by hand.
type Entry struct {
	// Name is the path in the image, without a leading slash.
	Name string
	// Source is the file to copy; with Content or Link it stays empty.
	Source string
	// Content is the text of a small file.
	Content string
	// Link is the target of a symbolic link.
	Link string
	// Mode holds the permission bits and, for a directory, fs.ModeDir.
	Mode fs.FileMode
}

// epoch is the modification time of every entry.
var epoch = time.Unix(0, 0)

// WriteLayer writes the entries, in the order given, to path.
func WriteLayer(path string, entries []Entry) (Layer, error) {
	return writeTar(path, func(archive *tar.Writer) error {
		for _, entry := range entries {
			if err := writeEntry(archive, entry); err != nil {
				return fmt.Errorf("add %s: %w", entry.Name, err)
			}
		}
		return nil
	})
}

// WriteTreeLayer writes everything below root to path, owned by root.
func WriteTreeLayer(path, root string) (Layer, error) {
	names, err := treeNames(root)
	if err != nil {
		return Layer{}, err
	}
	return writeTar(path, func(archive *tar.Writer) error {
		for _, name := range names {
			if err := writeTreeEntry(archive, root, name); err != nil {
				return fmt.Errorf("add %s: %w", name, err)
			}
		}
		return nil
	})
}

// OpenLayer describes a layer file that exists.
func OpenLayer(path string) (Layer, error) {
	file, err := os.Open(path)
	if err != nil {
		return Layer{}, err
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return Layer{}, err
	}
	return Layer{Path: path, Digest: digestOf(hash.Sum(nil)), SizeBytes: size}, nil
}

func writeTar(path string, fill func(*tar.Writer) error) (Layer, error) {
	file, err := os.Create(path)
	if err != nil {
		return Layer{}, err
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	if err := fill(archive); err != nil {
		return Layer{}, err
	}
	if err := archive.Close(); err != nil {
		return Layer{}, err
	}
	if err := file.Close(); err != nil {
		return Layer{}, err
	}
	return OpenLayer(path)
}

func writeEntry(archive *tar.Writer, entry Entry) error {
	header := &tar.Header{Name: entry.Name, Mode: int64(entry.Mode.Perm()), ModTime: epoch, Format: tar.FormatPAX}
	if entry.Mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case entry.Mode.IsDir():
		header.Typeflag = tar.TypeDir
		header.Name = strings.TrimSuffix(entry.Name, "/") + "/"
		return archive.WriteHeader(header)
	case entry.Link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, entry.Link, 0o777
		return archive.WriteHeader(header)
	case entry.Source != "":
		return copyFile(archive, header, entry.Source)
	}
	header.Typeflag, header.Size = tar.TypeReg, int64(len(entry.Content))
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.WriteString(archive, entry.Content)
	return err
}

// writeTreeEntry leaves out what an image cannot use: sockets and device nodes.
func writeTreeEntry(archive *tar.Writer, root, name string) error {
	path := filepath.Join(root, name)
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	entry := Entry{Name: name, Mode: info.Mode()}
	switch {
	case info.IsDir():
	case info.Mode().IsRegular():
		entry.Source = path
	case info.Mode()&fs.ModeSymlink != 0:
		if entry.Link, err = os.Readlink(path); err != nil {
			return err
		}
	default:
		return nil
	}
	return writeEntry(archive, entry)
}

func copyFile(archive *tar.Writer, header *tar.Header, source string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

func treeNames(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		names = append(names, name)
		return err
	})
	sort.Strings(names)
	return names, err
}

func digestOf(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }
