package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Eraser cleans the bytes of a new volume. Erasing again from the start is always allowed.
type Eraser interface {
	// Erase cleans the first bytes of a device in the given mode. It stops between two chunks when ctx ends.
	Erase(ctx context.Context, device string, mode v1alpha1.EraseMode, bytes int64) error
}

// DeviceEraser erases block devices by ioctl, and in devices that are regular files (tests) punches or writes.
type DeviceEraser struct{}

const (
	// zeroChunk is how much is zeroed at a time: small enough to stop soon, large enough for WRITE ZEROES.
	zeroChunk = 128 << 20
	// writeChunk is the buffer where the kernel cannot zero by itself.
	writeChunk = 4 << 20
	// progressEvery is how often a long erasure is logged.
	progressEvery = 30 * time.Second
)

// Erase implements Eraser.
func (DeviceEraser) Erase(ctx context.Context, device string, mode v1alpha1.EraseMode, bytes int64) error {
	if mode != v1alpha1.EraseZero && mode != v1alpha1.EraseDiscard {
		return nil
	}
	file, err := os.OpenFile(device, os.O_WRONLY|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	chunk := discardRange
	if mode == v1alpha1.EraseZero {
		chunk = zeroRange
	}
	if err := inChunks(ctx, device, bytes, func(offset, length int64) error { return chunk(file, offset, length) }); err != nil {
		return err
	}
	return file.Sync()
}

func inChunks(ctx context.Context, device string, bytes int64, do func(offset, length int64) error) error {
	logger := klog.FromContext(ctx)
	last := time.Now()
	for offset := int64(0); offset < bytes; offset += zeroChunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(offset, min(zeroChunk, bytes-offset)); err != nil {
			return fmt.Errorf("%s at %d: %w", device, offset, err)
		}
		if time.Since(last) > progressEvery {
			last = time.Now()
			logger.Info("Erasing", "device", device, "percent", 100*offset/bytes)
		}
	}
	return nil
}

// zeroRange zeroes in the kernel (WRITE ZEROES where the device has it), or by writing.
func zeroRange(file *os.File, offset, length int64) error {
	err := rangeIoctl(file, unix.BLKZEROOUT, offset, length)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
		return writeZeros(file, offset, length)
	}
	return err
}

// discardRange tells the device to forget. One that cannot is left as it is: discarding guarantees nothing anyway.
func discardRange(file *os.File, offset, length int64) error {
	err := rangeIoctl(file, unix.BLKDISCARD, offset, length)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

func writeZeros(file *os.File, offset, length int64) error {
	zeros := make([]byte, min(writeChunk, length))
	for done := int64(0); done < length; {
		n, err := file.WriteAt(zeros[:min(int64(len(zeros)), length-done)], offset+done)
		if err != nil {
			return err
		}
		done += int64(n)
	}
	return nil
}

// rangeIoctl passes {offset, length} in bytes, as BLKZEROOUT and BLKDISCARD take it.
func rangeIoctl(file *os.File, request uint, offset, length int64) error {
	span := [2]uint64{uint64(offset), uint64(length)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), uintptr(request), uintptr(unsafe.Pointer(&span)))
	runtime.KeepAlive(file)
	if errno != 0 {
		return errno
	}
	return nil
}
