package toolchain

import (
	"bytes"
	"sync"
	"time"
)

// packageCounter reads what "go build -v" writes, one compiled package a line, and tells how far the build is.
type packageCounter struct {
	group   string
	started time.Time
	report  func(format string, args ...any)

	mu      sync.Mutex
	pending []byte
	lines   []string
	count   int
}

// Write implements io.Writer. It never fails.
func (p *packageCounter) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = append(p.pending, data...)
	for {
		end := bytes.IndexByte(p.pending, '\n')
		if end < 0 {
			return len(data), nil
		}
		p.lines = append(p.lines, string(p.pending[:end]))
		p.pending = p.pending[end+1:]
		p.count++
		if len(p.lines) > 40 {
			p.lines = p.lines[1:]
		}
	}
}

// every reports at each interval until the returned function is called.
func (p *packageCounter) every(interval time.Duration) (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				p.tell()
			}
		}
	})
	return func() { close(done); group.Wait() }
}

func (p *packageCounter) tell() {
	p.mu.Lock()
	count, last := p.count, ""
	if len(p.lines) > 0 {
		last = p.lines[len(p.lines)-1]
	}
	p.mu.Unlock()
	p.report("building %s: %d packages so far, %s: %s", p.group, count, time.Since(p.started).Round(time.Second), last)
}

// tail returns the last lines: compiler errors stand there.
func (p *packageCounter) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out bytes.Buffer
	for _, line := range p.lines {
		out.WriteString(line + "\n")
	}
	out.Write(p.pending)
	return out.String()
}
