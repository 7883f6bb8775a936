package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Copier copies devices. Copying again from the start is always allowed.
type Copier interface {
	// Copy makes the first bytes of a device those of another, and all behind them zeros. It stops between two chunks
	// when ctx ends. What it returns without error is durable.
	Copy(ctx context.Context, request CopyRequest) error
}

// CopyRequest asks for a copy.
type CopyRequest struct {
	// Source and Target are paths of devices. Nobody writes to either meanwhile.
	Source, Target string
	// FromBytes of Bytes are in the target already. Bytes and TargetBytes are what the two devices have.
	FromBytes, Bytes, TargetBytes int64
	// Zeroed: the target shows zeros where this copy has not written, so that no zeros need be written.
	Zeroed bool
	// Synced is called every few seconds, and when all bytes are copied, with what is durable.
	Synced func(ctx context.Context, copied int64)
}

const (
	// copyChunk is what is read and written at a time, and the unit in which zeros are left out.
	copyChunk = 4 << 20
	// syncEvery is how often what was copied is made durable.
	syncEvery = 5 * time.Second
)

// DeviceCopier copies around the page cache: what others have in it is worth more.
type DeviceCopier struct{}

// Copy implements Copier.
func (DeviceCopier) Copy(ctx context.Context, request CopyRequest) error {
	c, err := newDeviceCopy(request)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.copy(ctx); err != nil {
		return err
	}
	if request.Zeroed || request.TargetBytes <= request.Bytes {
		return nil
	}
	err = inChunks(ctx, request.Target, request.TargetBytes-request.Bytes, func(offset, length int64) error {
		return zeroRange(c.target, request.Bytes+offset, length)
	})
	if err != nil {
		return err
	}
	return c.target.Sync()
}

// deviceCopy is one copy under way.
type deviceCopy struct {
	CopyRequest
	source, target *os.File
	// buffer is aligned to pages, as direct reads and writes want it; zeros is as long.
	buffer, zeros []byte
}

func newDeviceCopy(request CopyRequest) (*deviceCopy, error) {
	source, err := openDirect(request.Source, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	target, err := openDirect(request.Target, os.O_RDWR|unix.O_EXCL)
	if err != nil {
		return nil, errors.Join(err, source.Close())
	}
	buffer, err := unix.Mmap(-1, 0, copyChunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("buffer: %w", err), source.Close(), target.Close())
	}
	return &deviceCopy{request, source, target, buffer, make([]byte, copyChunk)}, nil
}

// openDirect opens for direct input and output, or as usual where that is not possible (files of some file systems).
func openDirect(path string, flags int) (*os.File, error) {
	file, err := os.OpenFile(path, flags|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		return os.OpenFile(path, flags, 0)
	}
	return file, err
}

func (c *deviceCopy) close() {
	// Nothing is lost: what counts was synced.
	_, _ = c.source.Close(), c.target.Close()
	_ = unix.Munmap(c.buffer)
}

func (c *deviceCopy) copy(ctx context.Context) error {
	synced := time.Now()
	for offset := c.FromBytes; offset < c.Bytes; {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := c.buffer[:min(copyChunk, c.Bytes-offset)]
		if err := c.chunk(chunk, offset); err != nil {
			return err
		}
		offset += int64(len(chunk))
		if time.Since(synced) >= syncEvery && offset < c.Bytes {
			if err := c.sync(ctx, offset); err != nil {
				return err
			}
			synced = time.Now()
		}
	}
	return c.sync(ctx, c.Bytes)
}

func (c *deviceCopy) chunk(chunk []byte, offset int64) error {
	if _, err := c.source.ReadAt(chunk, offset); err != nil {
		return fmt.Errorf("%s at %d: %w", c.Source, offset, err)
	}
	if c.Zeroed && bytes.Equal(chunk, c.zeros[:len(chunk)]) {
		return nil
	}
	if _, err := c.target.WriteAt(chunk, offset); err != nil {
		return fmt.Errorf("%s at %d: %w", c.Target, offset, err)
	}
	return nil
}

func (c *deviceCopy) sync(ctx context.Context, copied int64) error {
	if err := unix.Fdatasync(int(c.target.Fd())); err != nil {
		return fmt.Errorf("%s: %w", c.Target, err)
	}
	c.Synced(ctx, copied)
	return nil
}
