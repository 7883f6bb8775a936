package luks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The beginning of a LUKS2 binary header (LUKS2 On-Disk Format Specification, 2.1): magic, version, size, sequence number,
// label.
const (
	magic       = "LUKS\xba\xbe"
	versionAt   = 6
	labelAt     = 24
	headerBytes = labelAt + LabelBytes + 1
)

// Label implements Crypt.
func (c *Cryptsetup) Label(device string) (string, error) {
	file, err := os.Open(device)
	if err != nil {
		return "", fmt.Errorf("read the LUKS header: %w", err)
	}
	defer file.Close()
	header := make([]byte, headerBytes)
	_, err = io.ReadFull(file, header)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("%s: %w", device, ErrNoHeader)
	}
	if err != nil {
		return "", fmt.Errorf("read the LUKS header of %s: %w", device, err)
	}
	if !bytes.HasPrefix(header, []byte(magic)) || binary.BigEndian.Uint16(header[versionAt:]) != 2 {
		return "", fmt.Errorf("%s: %w", device, ErrNoHeader)
	}
	label, _, _ := bytes.Cut(header[labelAt:], []byte{0})
	return string(label), nil
}
