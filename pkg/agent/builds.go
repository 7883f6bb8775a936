package agent

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// builds runs the slow part of making volumes, erasing and formatting, beside the workers: a mkfs that hangs holds
// up its own volume and no other. Safe for concurrent use.
type builds struct {
	ctx context.Context
	// done is called, without locks, when a build has ended.
	done func(volumeID string)

	mu      sync.Mutex
	running map[string]*build
}

type build struct {
	uid    types.UID
	cancel context.CancelFunc
	ended  bool
	err    error
}

func newBuilds(ctx context.Context, done func(string)) *builds {
	return &builds{ctx: ctx, done: done, running: map[string]*build{}}
}

// result says how the volume's build stands. running is true while one runs; ended is true when one for this object
// has ended well, until stop forgets it; an error is given once. None of them: there is no build.
//
// A good result is kept until phase Ready is written: after a hung finish the ready tag may appear at any time, and
// by then nothing must be formatting again.
func (b *builds) result(volumeID string, uid types.UID) (running, ended bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.running[volumeID]
	if r == nil {
		return false, false, nil
	}
	if !r.ended {
		return true, false, nil
	}
	if r.uid != uid {
		delete(b.running, volumeID)
		return false, false, nil
	}
	if r.err != nil {
		delete(b.running, volumeID)
	}
	return false, r.err == nil, r.err
}

// start begins a build; the caller knows that none is running.
func (b *builds) start(volumeID string, uid types.UID, work func(context.Context) error) {
	ctx, cancel := context.WithCancel(b.ctx)
	r := &build{uid: uid, cancel: cancel}
	b.mu.Lock()
	b.running[volumeID] = r
	b.mu.Unlock()
	go func() {
		defer cancel()
		err := work(ctx)
		b.mu.Lock()
		r.ended, r.err = true, err
		b.mu.Unlock()
		b.done(volumeID)
	}()
}

// stop cancels the volume's build and forgets its result. It returns false while the build is still running.
func (b *builds) stop(volumeID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.running[volumeID]
	if r == nil {
		return true
	}
	r.cancel()
	if r.ended {
		delete(b.running, volumeID)
	}
	return r.ended
}
