package lvmcli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/berth-dev/berth/pkg/lvm"
)

// locks serialise the changing commands of each volume group. LVM has locks of its own; these are waited for under
// a context.
type locks struct {
	mu sync.Mutex
	// held has one place per volume group; who fills it holds the lock.
	held map[string]chan struct{}
}

// lock waits for the volume group's lock until ctx ends.
// Errors: ErrBusy with the context's error.
func (l *locks) lock(ctx context.Context, volumeGroup string) (unlock func(), err error) {
	place := l.place(volumeGroup)
	select {
	case place <- struct{}{}:
		return func() { <-place }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("volume group %s: %w (%w)", volumeGroup, lvm.ErrBusy, ctx.Err())
	}
}

// all waits for every lock in turn and keeps none.
func (l *locks) all(ctx context.Context) error {
	l.mu.Lock()
	names := slices.Collect(maps.Keys(l.held))
	l.mu.Unlock()
	for _, name := range names {
		unlock, err := l.lock(ctx, name)
		if err != nil {
			return err
		}
		unlock()
	}
	return nil
}

func (l *locks) place(volumeGroup string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	place := l.held[volumeGroup]
	if place == nil {
		place = make(chan struct{}, 1)
		l.held[volumeGroup] = place
	}
	return place
}
