// Package nodeexec runs commands on a node over one connection each, with streamed input and output.
//
// The caller sends a request and then frames of standard input; the node answers with frames of standard output and
// standard error and ends with the exit code. When the caller goes away, the command's process group is killed.
package nodeexec

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Request is what the caller wants run.
type Request struct {
	// Token proves that the caller may: pods can reach the port too.
	Token string
	// Args is the command; its first element is looked up on PATH.
	Args []string
	// Env holds additional NAME=value pairs.
	Env []string
	// Terminal asks for a terminal of this size; nil for none. With one, standard error comes as standard output.
	Terminal *Size `json:",omitempty"`
}

// Kinds of frames.
const (
	kindRequest byte = iota + 1
	kindStdin
	kindStdinEnd
	kindStdout
	kindStderr
	kindExit
	kindError
)

// maxFrame bounds what a peer can make us allocate, in bytes.
const maxFrame = 1 << 20

// headerBytes is the kind and the length of the payload.
const headerBytes = 5

// frameWriter writes frames; it is safe for concurrent use.
type frameWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *frameWriter) write(kind byte, payload []byte) error {
	frame := make([]byte, headerBytes, headerBytes+len(payload))
	frame[0] = kind
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.out.Write(append(frame, payload...))
	return err
}

func (w *frameWriter) writeJSON(kind byte, value any) error {
	payload, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return w.write(kind, payload)
}

// stream is an io.Writer whose data becomes frames of one kind.
type stream struct {
	frames *frameWriter
	kind   byte
}

func (s stream) Write(data []byte) (int, error) {
	written := 0
	for len(data) > 0 {
		part := data[:min(len(data), maxFrame)]
		if err := s.frames.write(s.kind, part); err != nil {
			return written, err
		}
		written += len(part)
		data = data[len(part):]
	}
	return written, nil
}

func readFrame(in io.Reader) (kind byte, payload []byte, err error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(header[1:])
	if length > maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes: larger than %d", length, maxFrame)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(in, payload)
	return header[0], payload, err
}
