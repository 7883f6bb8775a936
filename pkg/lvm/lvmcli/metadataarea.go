package lvmcli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// On-disk format of lvm2 (lib/format_text/layout.h, lib/label/label.h): the label stands in one of the first four
// sectors and leads to the physical volume's header, which lists the metadata areas; each area begins with a header
// that says where the metadata in force is. Every change of metadata writes that header. All numbers are
// little-endian.
const (
	sector = 512
	// readSize is what is read for a label: with LVM's defaults the header of the first metadata area is in it.
	readSize  = 8 << 10
	alignment = 4 << 10

	labelID      = "LABELONE"
	labelType    = "LVM2 001"
	areaMagic    = " LVM2 x[5A%r0N*>"
	labelSectors = 4
)

// Fingerprint is an opaque string that changes with every metadata change of the volume group that the device is a
// physical volume of. It reads a block or two past the page cache, takes no lock and runs no process. A physical
// volume without metadata areas always has the same one.
// Errors: those of opening and reading; a device that is no physical volume.
func Fingerprint(devicePath string) (string, error) {
	file, err := os.OpenFile(devicePath, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	print, err := fingerprint(file)
	if err != nil {
		return "", fmt.Errorf("metadata area of %s: %w", devicePath, err)
	}
	return print, nil
}

func fingerprint(device io.ReaderAt) (string, error) {
	head := alignedBuffer(readSize)
	n, err := device.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	head = head[:n]
	areas, err := metadataAreas(head)
	if err != nil {
		return "", err
	}
	var print strings.Builder
	for _, offset := range areas {
		header, err := areaHeader(device, head, offset)
		if err != nil {
			return "", err
		}
		if err := describe(&print, header); err != nil {
			return "", err
		}
	}
	return print.String(), nil
}

// metadataAreas finds the offsets of the metadata areas, in bytes.
func metadataAreas(head []byte) ([]int64, error) {
	const labelHeader, identity, location = 32, 40, 16
	for at := 0; at < labelSectors*sector && at+sector <= len(head); at += sector {
		label := head[at : at+sector]
		if string(label[:8]) != labelID || string(label[24:labelHeader]) != labelType {
			continue
		}
		offset := binary.LittleEndian.Uint32(label[20:])
		if uint64(offset)+identity > sector {
			return nil, fmt.Errorf("label points outside of its sector")
		}
		// Two lists of offset and size, data areas first, each ended by zeros.
		locations := label[offset+identity:]
		var areas []int64
		for list := 0; list < 2; locations = locations[location:] {
			if len(locations) < location {
				return nil, fmt.Errorf("the header's lists do not end")
			}
			start := binary.LittleEndian.Uint64(locations)
			if start == 0 {
				list++
			} else if list == 1 {
				areas = append(areas, int64(start))
			}
		}
		return areas, nil
	}
	return nil, fmt.Errorf("no LVM label")
}

// areaHeader returns the sector in which a metadata area begins, from what has been read already where it can.
func areaHeader(device io.ReaderAt, head []byte, offset int64) ([]byte, error) {
	if offset < 0 || offset%sector != 0 {
		return nil, fmt.Errorf("metadata area at impossible offset %d", offset)
	}
	if offset+sector <= int64(len(head)) {
		return head[offset : offset+sector], nil
	}
	block := alignedBuffer(alignment)
	start := offset / alignment * alignment
	n, err := device.ReadAt(block, start)
	if within := int(offset - start); n >= within+sector {
		return block[within : within+sector], nil
	}
	return nil, fmt.Errorf("metadata area at %d: %w", offset, err)
}

// describe adds where the metadata in force is, how long it is and its checksum.
func describe(print *strings.Builder, header []byte) error {
	const magicAt, inForceAt = 4, 40
	if !bytes.Equal(header[magicAt:magicAt+len(areaMagic)], []byte(areaMagic)) {
		return fmt.Errorf("metadata area has no magic number")
	}
	location := header[inForceAt:]
	fmt.Fprintf(print, "%x+%x:%x;", binary.LittleEndian.Uint64(location), binary.LittleEndian.Uint64(location[8:]),
		binary.LittleEndian.Uint32(location[16:]))
	return nil
}

// alignedBuffer is memory that a direct read takes.
func alignedBuffer(size int) []byte {
	buffer := make([]byte, size+alignment)
	skip := -uintptr(unsafe.Pointer(&buffer[0])) % alignment
	return buffer[skip : int(skip)+size : int(skip)+size]
}
