package csi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// statPatience is how long a file system may take to say what it holds, which it does from memory.
	statPatience = 5 * time.Second
	// unmountPatience is how long an unmount may take, which writes what is not written yet.
	unmountPatience = 30 * time.Second
)

// errHangs: the device behind a call does not answer. The call goes on.
var errHangs = errors.New("the device does not answer")

// patience bounds the wait for calls that a device may hold up for ever; no signal ends those. Calls of one key at the
// same time are one, so that a device that hangs for days holds one thread. Safe for concurrent use.
type patience struct {
	calls singleflight.Group
}

// wait makes the call, or joins one that is going on.
// Errors: errHangs, those of ctx, and the call's.
func (p *patience) wait(ctx context.Context, key string, limit time.Duration, call func() (any, error)) (any, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case result := <-p.calls.DoChan(key, call):
		return result.Val, result.Err
	case <-timer.C:
		return nil, fmt.Errorf("%s: %w after %s", key, errHangs, limit)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", key, ctx.Err())
	}
}
