package lvmfake

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
)

// DevicePath implements lvm.Manager.
func (m *Manager) DevicePath(volumeGroup, name string) string {
	if m.directory == "" {
		return dm.Path(volumeGroup, name)
	}
	return filepath.Join(m.directory, dm.Name(volumeGroup, name))
}

// addLocked puts an LV whose extents are taken into the group, active, with its file: a snapshot's is its origin's as it
// is now, a pool has none.
func (m *Manager) addLocked(g *group, lv lvm.LogicalVolume) error {
	lv.UUID, lv.Active = m.uuid(), true
	g.LogicalVolumes = append(g.LogicalVolumes, lv)
	g.Seqno++
	switch {
	case lv.Type == lvm.TypeThinPool:
		return nil
	case lv.Origin != "":
		return m.copyFile(g.Name, lv.Origin, lv.Name)
	}
	return m.sizeFile(g.Name, lv.Name, lv.SizeBytes)
}

func (m *Manager) sizeFile(volumeGroup, name string, bytes int64) error {
	if m.directory == "" {
		return nil
	}
	file, err := os.OpenFile(m.DevicePath(volumeGroup, name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Truncate(bytes)
}

func (m *Manager) removeFile(volumeGroup, name string) error {
	if m.directory == "" {
		return nil
	}
	if err := os.Remove(m.DevicePath(volumeGroup, name)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (m *Manager) copyFile(volumeGroup, from, to string) error {
	if m.directory == "" {
		return nil
	}
	source, err := os.Open(m.DevicePath(volumeGroup, from))
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(m.DevicePath(volumeGroup, to), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copySparse(target, source), target.Close())
}

// copySparse copies what a file holds and leaves its holes: they may be gigabytes.
func copySparse(target, source *os.File) error {
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := target.Truncate(info.Size()); err != nil {
		return err
	}
	for at := int64(0); ; {
		data, err := source.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // nothing but a hole is left
			return nil
		}
		if err != nil {
			return err
		}
		hole, err := source.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(target, data), io.NewSectionReader(source, data, hole-data)); err != nil {
			return err
		}
		at = hole
	}
}
