package disks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// endBytes is how much of a disk's beginning and of its end has to be zero. File systems, arrays, partition tables
	// and volume managers have their signatures there.
	endBytes = 4 << 20
	// chunkBytes is read at a time, so that most disks in use are left after the first.
	chunkBytes = 1 << 20
	// alignment suits direct reads of every device.
	alignment = 4 << 10
)

// Check says why a disk is not to be taken, or nothing if it is empty now. It changes nothing.
//
// A disk is opened exclusively only when a look without has found it empty: whoever is about to make something of a disk
// would find it in use.
// Errors: what keeps the disk from being judged.
func (h *Host) Check(ctx context.Context, disk Disk) (refusal string, err error) {
	now, err := h.read(disk.Name)
	if err != nil {
		return "", err
	}
	now.File = disk.File
	if refusal := now.Unfit(); refusal != "" {
		return refusal, nil
	}
	other, err := h.twin(now)
	if err != nil {
		return "", err
	}
	if other != "" {
		return fmt.Sprintf("it and %s are the same disk (%s)", other, now.WWID), nil
	}
	if refusal, err = h.look(ctx, now, false); refusal != "" || err != nil {
		return refusal, err
	}
	return h.look(ctx, now, true)
}

// look reads the disk's ends, and names the signature of one that is not empty. An exclusive look is the last one, and
// asks for signatures elsewhere, too.
func (h *Host) look(ctx context.Context, disk Disk, exclusive bool) (refusal string, err error) {
	file, err := h.open(disk, exclusive)
	if errors.Is(err, unix.EBUSY) {
		return "it is in use: mounted, swap, or part of something else", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	at, written, err := writtenAt(file, disk.SizeBytes)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", disk.Path, err)
	}
	if !written && !exclusive {
		return "", nil
	}
	signature, err := h.Signature(ctx, disk.Path)
	switch {
	case err != nil:
		return "", err
	case signature != "":
		return "it is not empty: it holds " + signature, nil
	case written:
		return fmt.Sprintf("it is not empty: its byte %d is not zero", at), nil
	}
	return "", nil
}

// open opens the disk for direct reads, where it has them, and makes sure that the node is the one that sysfs described.
func (h *Host) open(disk Disk, exclusive bool) (*os.File, error) {
	flags := os.O_RDONLY
	if exclusive {
		flags |= unix.O_EXCL
	}
	file, err := os.OpenFile(disk.Path, flags|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		file, err = os.OpenFile(disk.Path, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	number, err := h.number(file)
	if err == nil && number != disk.Number {
		err = fmt.Errorf("it is device %s, and %s is %s", number, disk.Name, disk.Number)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", disk.Path, err)
	}
	return file, nil
}

// writtenAt finds a byte that is not zero in the ends of a device.
func writtenAt(device io.ReaderAt, size int64) (at int64, written bool, err error) {
	buffer, err := unix.Mmap(-1, 0, chunkBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = unix.Munmap(buffer) }()
	last := max(size-endBytes, 0) / alignment * alignment
	for _, end := range []struct{ from, to int64 }{{0, min(endBytes, size)}, {last, size}} {
		for offset := end.from; offset < end.to; offset += chunkBytes {
			chunk := buffer[:min(chunkBytes, end.to-offset)]
			if _, err := device.ReadAt(chunk, offset); err != nil {
				return 0, false, err
			}
			if rest := bytes.TrimLeft(chunk, "\x00"); len(rest) > 0 {
				return offset + int64(len(chunk)-len(rest)), true, nil
			}
		}
	}
	return 0, false, nil
}
