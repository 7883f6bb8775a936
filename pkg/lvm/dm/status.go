package dm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Layers of an LV whose own device is something else: the pool beneath a pool's, the volume beneath an origin's.
const (
	poolLayer = "-tpool"
	realLayer = "-real"
)

// ThinPoolStatus tells how full a thin pool is and whether it works. It does not flush the pool.
// Errors: os.ErrNotExist when it is not active.
func ThinPoolStatus(volumeGroup, pool string) (ThinPool, error) {
	name := Name(volumeGroup, pool)
	// A pool that has never had a volume has no layer of its own.
	status, name, err := statusOf("thin-pool", name+poolLayer, name)
	if err != nil {
		return ThinPool{}, err
	}
	// The status counts blocks, and only the table tells how large they are.
	table, err := query(name, flagStatusTable, "thin-pool")
	if err != nil {
		return ThinPool{}, err
	}
	return parseThinPool(name, table, status)
}

// SnapshotStatus tells how full a thick snapshot is.
// Errors: os.ErrNotExist when it is not active.
func SnapshotStatus(volumeGroup, snapshot string) (Snapshot, error) {
	status, name, err := statusOf("snapshot", Name(volumeGroup, snapshot))
	if err != nil {
		return Snapshot{}, err
	}
	return parseSnapshot(name, status)
}

// RAIDStatus tells how a RAID volume's legs are.
// Errors: os.ErrNotExist when it is not active.
func RAIDStatus(volumeGroup, volume string) (RAID, error) {
	name := Name(volumeGroup, volume)
	status, name, err := statusOf("raid", name+realLayer, name)
	if err != nil {
		return RAID{}, err
	}
	return parseRAID(name, status)
}

// statusOf is the status of the first of the devices that is there, and its name.
func statusOf(kind string, names ...string) (params, name string, err error) {
	for _, name = range names {
		params, err = query(name, flagNoFlush, kind)
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return params, name, err
}

// query asks for the one target of a device: its status, or with flagStatusTable its table.
func query(name string, flags uint32, kind string) (params string, err error) {
	c, err := open()
	if err != nil {
		return "", err
	}
	defer c.close()
	targets, err := c.targets(name, flags)
	if errors.Is(err, unix.ENXIO) {
		return "", fmt.Errorf("device %s: %w", name, os.ErrNotExist)
	}
	if err != nil {
		return "", fmt.Errorf("status of %s: %w", name, err)
	}
	if len(targets) != 1 || targets[0].kind != kind {
		return "", fmt.Errorf("status of %s: %v, want one target of type %s", name, targets, kind)
	}
	return targets[0].params, nil
}

// target is one line of a device's table or of its status.
type target struct{ kind, params string }

func (c control) targets(name string, flags uint32) ([]target, error) {
	for size := 4 << 10; ; size *= 2 {
		h, buffer, err := c.call(tableStatus, name, flags, size)
		if err != nil {
			return nil, err
		}
		if h.flags&flagBufferFull == 0 {
			return parseTargets(buffer[h.dataStart:], int(h.targetCount))
		}
	}
}

// parseTargets reads a chain of struct dm_target_spec, each followed by its parameters: start, length, status, offset
// of the next from the first, type.
func parseTargets(list []byte, count int) ([]target, error) {
	const nextAt, typeAt, fixed = 20, 24, 40
	var targets []target
	for at := 0; len(targets) < count; {
		if at < 0 || at+fixed > len(list) {
			return nil, errMalformed
		}
		spec := list[at:]
		length := bytes.IndexByte(spec[fixed:], 0)
		if length < 0 {
			return nil, errMalformed
		}
		kind, _, _ := strings.Cut(string(spec[typeAt:fixed]), "\x00")
		targets = append(targets, target{kind: kind, params: string(spec[fixed : fixed+length])})
		at = int(binary.NativeEndian.Uint32(spec[nextAt:]))
	}
	return targets, nil
}
