package nodeexec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const token = "secret"

func dialServer(t *testing.T, server Server) net.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func server() Server { return Server{Token: token, Env: []string{"PATH=/usr/bin:/bin", "FROM=server"}} }

func TestRun(t *testing.T) {
	cases := map[string]struct {
		request  Request
		in       string
		wantOut  string
		wantErr  string
		wantCode int
		fails    string
	}{
		"output":        {request: Request{Token: token, Args: []string{"sh", "-c", "echo out; echo err >&2"}}, wantOut: "out\n", wantErr: "err\n"},
		"exit code":     {request: Request{Token: token, Args: []string{"sh", "-c", "exit 7"}}, wantCode: 7},
		"signal":        {request: Request{Token: token, Args: []string{"sh", "-c", "kill -9 $$"}}, wantCode: 137}, // 128 + 9
		"input":         {request: Request{Token: token, Args: []string{"cat"}}, in: "some input", wantOut: "some input"},
		"large input":   {request: Request{Token: token, Args: []string{"wc", "-c"}}, in: strings.Repeat("x", 3*maxFrame+1), wantOut: "3145729\n"},
		"unread input":  {request: Request{Token: token, Args: []string{"true"}}, in: strings.Repeat("x", maxFrame)},
		"environment":   {request: Request{Token: token, Args: []string{"sh", "-c", "echo $FROM $MORE"}, Env: []string{"MORE=caller"}}, wantOut: "server caller\n"},
		"wrong token":   {request: Request{Token: "guess", Args: []string{"true"}}, fails: "wrong token"},
		"no token":      {request: Request{Args: []string{"true"}}, fails: "wrong token"},
		"no command":    {request: Request{Token: token}, fails: "no command"},
		"no such thing": {request: Request{Token: token, Args: []string{"/nonexistent"}}, fails: "no such file"},
		"left daemon":   {request: Request{Token: token, Args: []string{"sh", "-c", "sleep 20 & echo started"}}, wantOut: "started\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn := dialServer(t, server())
			var stdout, stderr bytes.Buffer
			code, err := Run(t.Context(), conn, c.request, Streams{In: strings.NewReader(c.in), Out: &stdout, Err: &stderr})
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("error %v, want one with %q", err, c.fails)
				}
				return
			}
			if err != nil || code != c.wantCode || stdout.String() != c.wantOut || stderr.String() != c.wantErr {
				t.Errorf("code %d, error %v, out %q, err %q; want code %d, out %q, err %q",
					code, err, stdout.String(), stderr.String(), c.wantCode, c.wantOut, c.wantErr)
			}
		})
	}
}

func TestCancelKillsTheCommandAndItsChildren(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "alive")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started, write := io.Pipe()
	result := make(chan error, 1)
	conn := dialServer(t, server())
	go func() {
		// The child touches the file again and again.
		script := "(while :; do touch " + mark + "; sleep 0.05; done) & echo started; wait"
		_, err := Run(ctx, conn, Request{Token: token, Args: []string{"sh", "-c", script}}, Streams{Out: write})
		result <- err
	}()
	if _, err := io.ReadFull(started, make([]byte, len("started\n"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want %v", err, context.Canceled)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		_ = os.Remove(mark)
		time.Sleep(500 * time.Millisecond)
		if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the child still runs")
		}
	}
}

func TestTerminal(t *testing.T) {
	conn := dialServer(t, server())
	var stdout bytes.Buffer
	request := Request{Token: token, Args: []string{"sh", "-c", "tty >/dev/null && stty size; read x; echo got $x; exit 3"}, Terminal: &Size{Rows: 40, Columns: 90}}
	code, err := Run(t.Context(), conn, request, Streams{In: strings.NewReader("word\n"), Out: &stdout})
	if err != nil || code != 3 {
		t.Fatalf("code %d, error %v, output %q", code, err, stdout.String())
	}
	for _, want := range []string{"40 90\r\n", "got word\r\n"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("output %q, want %q in it", stdout.String(), want)
		}
	}
}

func TestBeforeSeesTheCommandFirst(t *testing.T) {
	var seen []string
	s := server()
	s.Before = func(args []string) { seen = args }
	if _, err := Run(t.Context(), dialServer(t, s), Request{Token: token, Args: []string{"true", "x"}}, Streams{}); err != nil {
		t.Fatal(err)
	}
	if strings.Join(seen, " ") != "true x" {
		t.Errorf("Before saw %q", seen)
	}
}

func TestLostNodeIsAnError(t *testing.T) {
	near, far := net.Pipe()
	go func() {
		_, _, _ = readFrame(far)
		far.Close()
	}()
	if _, err := Run(t.Context(), near, Request{Token: token, Args: []string{"true"}}, Streams{}); err == nil || !strings.Contains(err.Error(), "went away") {
		t.Errorf("error %v, want one that says that the node went away", err)
	}
}

func TestHugeFrameIsRefused(t *testing.T) {
	if _, _, err := readFrame(bytes.NewReader([]byte{kindStdout, 0xff, 0xff, 0xff, 0xff})); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error %v", err)
	}
}
