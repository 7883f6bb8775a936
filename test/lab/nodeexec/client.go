package nodeexec

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Streams are the caller's ends. Nil members are empty input and discarded output.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run sends the request over the connection, which it closes, and returns the command's exit code. A command that
// was ended by a signal has 128 plus the signal's number. Cancelling the context kills the command.
func Run(ctx context.Context, conn net.Conn, request Request, streams Streams) (int, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	frames := &frameWriter{out: conn}
	if err := frames.writeJSON(kindRequest, request); err != nil {
		return 0, fmt.Errorf("send command: %w", err)
	}
	go sendInput(frames, streams.In)
	code, err := receive(conn, streams)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return code, err
}

// sendInput ends with the connection at the latest; a write error shows in receive too.
func sendInput(frames *frameWriter, in io.Reader) {
	if in != nil {
		if _, err := io.Copy(stream{frames, kindStdin}, in); err != nil {
			return
		}
	}
	_ = frames.write(kindStdinEnd, nil)
}

func receive(conn net.Conn, streams Streams) (int, error) {
	for {
		kind, payload, err := readFrame(conn)
		if err != nil {
			return 0, fmt.Errorf("the node went away before the command ended: %w", err)
		}
		switch kind {
		case kindStdout:
			err = writeTo(streams.Out, payload)
		case kindStderr:
			err = writeTo(streams.Err, payload)
		case kindExit:
			if len(payload) != 4 {
				return 0, errors.New("malformed exit code")
			}
			return int(int32(binary.BigEndian.Uint32(payload))), nil
		case kindError:
			return 0, errors.New(string(payload))
		default:
			return 0, fmt.Errorf("unexpected frame %d", kind)
		}
		if err != nil {
			return 0, err
		}
	}
}

func writeTo(out io.Writer, data []byte) error {
	if out == nil {
		return nil
	}
	_, err := out.Write(data)
	return err
}
