package agent

import (
	"sync"
	"time"
)

// timings remembers when work on a volume began, over several passes. Safe for concurrent use.
type timings struct {
	mu    sync.Mutex
	began map[string]time.Time
}

// begin notes the time unless one is noted.
func (t *timings) begin(volumeID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.began[volumeID]; !ok {
		t.began[volumeID] = time.Now()
	}
}

// end forgets the time and returns how long ago it was.
func (t *timings) end(volumeID string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	began, ok := t.began[volumeID]
	delete(t.began, volumeID)
	if !ok {
		return 0
	}
	return time.Since(began)
}
