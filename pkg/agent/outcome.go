package agent

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/lvm"
)

// outcome is why a step did not succeed, as it is written to status.code and status.message.
type outcome struct {
	code codes.Code
	// final: an object that is not Ready becomes Failed, nothing of it is on disk; of a Ready one only the latest
	// change of its spec is refused. What is not final is tried again.
	final bool
	// reason of the event; empty for none.
	reason string
	err    error
}

func (o *outcome) Error() string { return o.err.Error() }
func (o *outcome) Unwrap() error { return o.err }

// refused is final.
func refused(code codes.Code, reason string, format string, args ...any) *outcome {
	return &outcome{code: code, final: true, reason: reason, err: fmt.Errorf(format, args...)}
}

// again is to be tried later.
func again(code codes.Code, reason string, format string, args ...any) *outcome {
	return &outcome{code: code, reason: reason, err: fmt.Errorf(format, args...)}
}

// outcomeOf gives any error an outcome: what is not known to be final is tried again.
func outcomeOf(err error) *outcome {
	var o *outcome
	switch {
	case errors.As(err, &o):
		return o
	case errors.Is(err, lvm.ErrBusy), errors.Is(err, lvm.ErrHung), errors.Is(err, lvm.ErrInUse):
		return &outcome{code: codes.Aborted, err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &outcome{code: codes.Aborted, err: err}
	}
	return &outcome{code: codes.Unavailable, err: err}
}
