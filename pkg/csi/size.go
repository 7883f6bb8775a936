package csi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

func (m *hostMounter) Grow(device, path string) error {
	// The tools of all three file systems leave one alone that is as large as its device.
	_, err := m.resizer.Resize(device, path)
	return err
}

func (m *hostMounter) Usage(path string) (Usage, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return Usage{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	block := stat.Bsize
	return Usage{
		TotalBytes: int64(stat.Blocks) * block,
		UsedBytes:  int64(stat.Blocks-stat.Bfree) * block,
		// What root keeps for itself is neither used nor available.
		AvailableBytes:  int64(stat.Bavail) * block,
		TotalInodes:     int64(stat.Files),
		UsedInodes:      int64(stat.Files - stat.Ffree),
		AvailableInodes: int64(stat.Ffree),
	}, nil
}

// Smaller compares the superblock with the device. NeedResize of mount-utils cannot: it leaves the question to the tools,
// a process for each publication. A mounted file system's superblock may be written late; then the tools find nothing to do.
func (m *hostMounter) Smaller(device string) (bool, error) {
	file, err := os.Open(device)
	if err != nil {
		return false, fmt.Errorf("size of %s: %w", device, err)
	}
	defer file.Close()
	bytes, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return false, fmt.Errorf("size of %s: %w", device, err)
	}
	used, block, err := fileSystemSize(file)
	if err != nil {
		return false, fmt.Errorf("size of the file system on %s: %w", device, err)
	}
	// What is left is too small for a block.
	return bytes-used >= block, nil
}

var errNoSuperblock = errors.New("it is neither ext4, xfs nor btrfs")

// fileSystemSize reads from a superblock how many bytes a file system takes itself to have, and of how many its blocks
// are.
func fileSystemSize(device io.ReaderAt) (bytes, block int64, err error) {
	for _, read := range []struct {
		offset int64
		parse  func([]byte) (bytes, block int64, ok bool)
	}{{0, parseXFS}, {1024, parseExt4}, {64 << 10, parseBtrfs}} {
		superblock := make([]byte, 1024)
		if _, err := device.ReadAt(superblock, read.offset); err != nil {
			return 0, 0, err
		}
		if bytes, block, ok := read.parse(superblock); ok {
			return bytes, block, nil
		}
	}
	return 0, 0, errNoSuperblock
}

// parseXFS reads struct xfs_dsb: magic number, block size, blocks of the data section.
func parseXFS(b []byte) (bytes, block int64, ok bool) {
	block = int64(binary.BigEndian.Uint32(b[4:]))
	return int64(binary.BigEndian.Uint64(b[8:])) * block, block, string(b[:4]) == "XFSB"
}

// parseExt4 reads struct ext4_super_block: s_blocks_count_lo, s_log_block_size, s_magic, s_feature_incompat (64BIT),
// s_blocks_count_hi.
func parseExt4(b []byte) (bytes, block int64, ok bool) {
	const has64Bit = 0x80
	little := binary.LittleEndian
	if little.Uint16(b[0x38:]) != 0xef53 {
		return 0, 0, false
	}
	block = 1024 << (little.Uint32(b[0x18:]) & 0xf)
	blocks := int64(little.Uint32(b[4:]))
	if little.Uint32(b[0x60:])&has64Bit != 0 {
		blocks |= int64(little.Uint32(b[0x150:])) << 32
	}
	return blocks * block, block, true
}

// parseBtrfs reads struct btrfs_super_block: magic, total_bytes, sectorsize.
func parseBtrfs(b []byte) (bytes, block int64, ok bool) {
	little := binary.LittleEndian
	return int64(little.Uint64(b[0x70:])), int64(little.Uint32(b[0x90:])), string(b[0x40:0x48]) == "_BHRfS_M"
}
