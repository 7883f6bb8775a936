package nodeexec

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Server runs commands for callers.
type Server struct {
	// Token is what requests must carry.
	Token string
	// Env is the environment of commands.
	Env []string
	// Before is called with each command before it starts; nil does nothing.
	Before func(args []string)
}

// Serve answers requests until the listener closes.
func (s Server) Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			s.answer(conn)
		}()
	}
}

// requestDeadline bounds how long a silent connection is kept.
const requestDeadline = 10 * time.Second

func (s Server) answer(conn net.Conn) {
	frames := &frameWriter{out: conn}
	_ = conn.SetReadDeadline(time.Now().Add(requestDeadline))
	request, err := readRequest(conn, s.Token)
	if err != nil {
		_ = frames.write(kindError, []byte(err.Error()))
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	code, err := s.execute(conn, frames, request)
	if err != nil {
		_ = frames.write(kindError, []byte(err.Error()))
		return
	}
	_ = frames.write(kindExit, binary.BigEndian.AppendUint32(nil, uint32(int32(code))))
}

func readRequest(conn net.Conn, token string) (Request, error) {
	kind, payload, err := readFrame(conn)
	if err != nil {
		return Request{}, err
	}
	var request Request
	if kind != kindRequest {
		return Request{}, errors.New("no request")
	}
	if err := json.Unmarshal(payload, &request); err != nil {
		return Request{}, err
	}
	if subtle.ConstantTimeCompare([]byte(request.Token), []byte(token)) != 1 {
		return Request{}, errors.New("wrong token")
	}
	if len(request.Args) == 0 {
		return Request{}, errors.New("no command")
	}
	return request, nil
}

func (s Server) execute(conn net.Conn, frames *frameWriter, request Request) (int, error) {
	if s.Before != nil {
		s.Before(request.Args)
	}
	cmd := exec.Command(request.Args[0], request.Args[1:]...)
	cmd.Env = append(append([]string{}, s.Env...), request.Env...)
	cmd.Dir = "/"
	if request.Terminal != nil {
		return executeOnTerminal(conn, frames, cmd, *request.Terminal)
	}
	cmd.Stdout, cmd.Stderr = stream{frames, kindStdout}, stream{frames, kindStderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A daemon that the command leaves behind may hold its output open; the caller is not kept waiting for it.
	cmd.WaitDelay = outputDelay
	input, feed, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd.Stdin = input
	err = cmd.Start()
	input.Close()
	if err != nil {
		feed.Close()
		return 0, err
	}
	return wait(conn, cmd, feed)
}

// outputDelay bounds the wait for output after the command's end.
const outputDelay = 2 * time.Second

// wait passes input on until the command ends. The command's process group, whose number is that of the command, is
// killed when the caller goes away.
func wait(conn net.Conn, cmd *exec.Cmd, feed io.WriteCloser) (int, error) {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		if feedInput(conn, feed) {
			return
		}
		select {
		case <-ended: // the process group's number may belong to another by now
		default:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}()
	return exitCode(cmd.Wait())
}

// feedInput passes input on and reports false when the caller went away. It returns at the latest when the
// connection closes.
func feedInput(conn net.Conn, feed io.WriteCloser) bool {
	defer feed.Close()
	for {
		kind, payload, err := readFrame(conn)
		switch {
		case errors.Is(err, net.ErrClosed):
			return true
		case err != nil:
			return false
		case kind == kindStdinEnd:
			feed.Close()
		case kind == kindStdin:
			// The command may have closed its input; that is its right.
			_, _ = feed.Write(payload)
		}
	}
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	case !errors.As(err, &exit):
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
