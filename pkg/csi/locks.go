package csi

import (
	"fmt"
	"sync"
)

// volumeLocks excludes calls for one volume from each other. A call that finds its volume taken does not wait: its
// caller retries with a backoff, and a queue of waiting calls would outlive their deadlines.
type volumeLocks struct {
	mu   sync.Mutex
	held map[string]struct{}
}

// lock takes a volume until the function returned is called.
// Errors: errPending when another call holds it.
func (l *volumeLocks) lock(volumeID string) (unlock func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.held[volumeID]; ok {
		return nil, fmt.Errorf("volume %s: another call for it is running: %w", volumeID, errPending)
	}
	if l.held == nil {
		l.held = map[string]struct{}{}
	}
	l.held[volumeID] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, volumeID)
	}, nil
}
