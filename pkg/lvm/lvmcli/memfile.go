package lvmcli

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile is an anonymous file with the content given, read and written from its start.
func memoryFile(name, content string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory file %s: %w", name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err := file.WriteAt([]byte(content), 0); err != nil {
		file.Close()
		return nil, fmt.Errorf("memory file %s: %w", name, err)
	}
	return file, nil
}

// readAll reads a memory file whatever its offset is: the offset is shared with the process that wrote it.
func readAll(file *os.File) (string, error) {
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	content := make([]byte, info.Size())
	if len(content) == 0 {
		return "", nil
	}
	n, err := file.ReadAt(content, 0)
	if n < len(content) {
		return "", err
	}
	return string(content), nil
}
