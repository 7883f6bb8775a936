package dm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlPath is device-mapper's control device.
const controlPath = "/dev/mapper/control"

// Commands and flags of linux/dm-ioctl.h.
const (
	listDevices = 2
	devSuspend  = 6
	devStatus   = 7
	tableClear  = 10
	tableStatus = 12

	flagSuspend         = 1 << 1
	flagStatusTable     = 1 << 4
	flagActivePresent   = 1 << 5
	flagInactivePresent = 1 << 6
	flagBufferFull      = 1 << 8
	flagNoFlush         = 1 << 11
)

// header is struct dm_ioctl.
type header struct {
	version     [3]uint32
	dataSize    uint32
	dataStart   uint32
	targetCount uint32
	openCount   int32
	flags       uint32
	eventNumber uint32
	padding     uint32
	device      uint64
	name        [128]byte
	uuid        [129]byte
	data        [7]byte
}

const headerSize = int(unsafe.Sizeof(header{}))

// control is the open control device.
type control struct{ file *os.File }

func open() (control, error) {
	file, err := os.OpenFile(controlPath, os.O_RDWR, 0)
	return control{file}, err
}

func (c control) close() { c.file.Close() }

// call does one ioctl with size bytes of room for its answer, which begins with the header.
func (c control) call(command uintptr, name string, flags uint32, size int) (*header, []byte, error) {
	// As uint64s, so that the header is aligned.
	words := make([]uint64, (size+7)/8)
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size)
	h := (*header)(unsafe.Pointer(&words[0]))
	h.version = [3]uint32{4, 0, 0}
	h.dataSize = uint32(size)
	h.dataStart = uint32(headerSize)
	h.flags = flags
	if len(name) >= len(h.name) {
		return nil, nil, fmt.Errorf("device-mapper name %q: %w", name, unix.ENAMETOOLONG)
	}
	copy(h.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, c.file.Fd(), request(command), uintptr(unsafe.Pointer(h)))
	if errno != 0 {
		return nil, nil, errno
	}
	return h, buffer, nil
}

// request is _IOWR(0xfd, command, struct dm_ioctl).
func request(command uintptr) uintptr {
	return 3<<30 | uintptr(headerSize)<<16 | 0xfd<<8 | command
}

// names lists all devices.
func (c control) names() ([]string, error) {
	for size := 16 << 10; ; size *= 2 {
		h, buffer, err := c.call(listDevices, "", 0, size)
		if err != nil {
			return nil, fmt.Errorf("list device-mapper devices: %w", err)
		}
		if h.flags&flagBufferFull == 0 {
			return parseNames(buffer[h.dataStart:])
		}
	}
}

var errMalformed = errors.New("malformed device-mapper list")

// parseNames reads a chain of struct dm_name_list: device number, offset of the next, name.
func parseNames(list []byte) ([]string, error) {
	const fixed = 12
	var names []string
	for len(list) >= fixed {
		device, next := binary.NativeEndian.Uint64(list), binary.NativeEndian.Uint32(list[8:])
		if device == 0 { // how the kernel says that there are none
			return names, nil
		}
		length := bytes.IndexByte(list[fixed:], 0)
		if length < 0 {
			return nil, errMalformed
		}
		names = append(names, string(list[fixed:fixed+length]))
		if next == 0 {
			return names, nil
		}
		if int(next) > len(list) {
			return nil, errMalformed
		}
		list = list[next:]
	}
	return nil, errMalformed
}
