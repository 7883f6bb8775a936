package lab

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress tells a person what happens.
type Progress func(format string, args ...any)

// NewProgress returns a Progress that writes lines with the seconds since now. It is safe for concurrent use.
func NewProgress(out io.Writer) Progress {
	var mu sync.Mutex
	started := time.Now()
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "[%6.1fs] "+format+"\n", append([]any{time.Since(started).Seconds()}, args...)...)
	}
}
