package csi

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/berth-dev/berth/pkg/luks"
	"github.com/berth-dev/berth/pkg/lvm"
)

// ErrPrecondition means that the volume is not in the state that the call needs. Implementations of Volumes wrap it too.
var ErrPrecondition = errors.New("precondition does not hold")

// Errors of this package, beside those of lvm and of the context.
var (
	// errMissing: a required field of the request is empty.
	errMissing = errors.New("is missing")
	// errInvalid: a field of the request has a value that can never be served.
	errInvalid = errors.New("invalid")
	// errIncompatible: the volume is there with another shape than the one asked for.
	errIncompatible = errors.New("exists already, but")
	// errNoNode: the volume cannot be made where it was asked for; elsewhere it may.
	errNoNode = errors.New("node cannot take the volume")
	// errPending: another operation on the volume is under way, or its outcome is not known yet.
	errPending = errors.New("operation pending")
	// errNoGrowth: there is no room for an expansion.
	errNoGrowth = errors.New("no room to expand")
	// errRange: no size satisfies the capacity range.
	errRange = errors.New("capacity range cannot be met")
	// errToken: a page token that this driver did not give out.
	errToken = errors.New("unknown starting token")
	// errNotReady: the caches of this process are not filled yet.
	errNotReady = errors.New("not ready")
)

// codeOf is the table of errors and codes, the only one.
//
// What the callers do with a code (csi-provisioner, checkError; csi-resizer and kubelet, infeasible errors):
// ResourceExhausted from CreateVolume clears selected-node and the pod is scheduled again. Aborted, Unavailable and
// DeadlineExceeded are retried on the same node. Everything else ends the attempt with the node kept, so that Internal
// is only for what no retry elsewhere would mend. OutOfRange from ControllerExpandVolume lets the user ask for less.
var codeOf = []struct {
	err  error
	code codes.Code
}{
	{context.DeadlineExceeded, codes.DeadlineExceeded},
	{context.Canceled, codes.Canceled},
	{errMissing, codes.InvalidArgument},
	{errInvalid, codes.InvalidArgument},
	{lvm.ErrInvalidSize, codes.InvalidArgument},
	{lvm.ErrUnknownParameter, codes.InvalidArgument},
	{lvm.ErrInvalidParameter, codes.InvalidArgument},
	{errIncompatible, codes.AlreadyExists},
	{lvm.ErrExists, codes.AlreadyExists},
	{lvm.ErrForeign, codes.AlreadyExists},
	{errNoNode, codes.ResourceExhausted},
	{lvm.ErrNoSpace, codes.ResourceExhausted},
	{lvm.ErrUnusable, codes.ResourceExhausted},
	{errPending, codes.Aborted},
	{errToken, codes.Aborted},
	{lvm.ErrBusy, codes.Aborted},
	{lvm.ErrHung, codes.Aborted},
	{ErrPrecondition, codes.FailedPrecondition},
	{lvm.ErrInUse, codes.FailedPrecondition},
	{errNoGrowth, codes.OutOfRange},
	{errRange, codes.OutOfRange},
	{errNotReady, codes.Unavailable},
	{errHangs, codes.Unavailable},
	{luks.ErrKey, codes.InvalidArgument},
	{luks.ErrNoHeader, codes.FailedPrecondition},
	{lvm.ErrNotFound, codes.NotFound},
}

// statusError gives err its gRPC code; nil stays nil and an error that has a code already keeps it.
func statusError(err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	for _, entry := range codeOf {
		if errors.Is(err, entry.err) {
			return status.Error(entry.code, err.Error())
		}
	}
	var failure *apiFailure
	if errors.As(err, &failure) {
		return status.Error(failure.code(), err.Error())
	}
	// The agent's requests fail too, on the node's side.
	var answer apierrors.APIStatus
	if errors.As(err, &answer) {
		return status.Error(codes.Unavailable, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}

// apiFailure is a failed request to the API server. It has a type of its own because client-go's own failures, such
// as a rate limiter that sees the deadline coming, have none, and would be Internal.
type apiFailure struct {
	operation string
	err       error
}

func (f *apiFailure) Error() string { return f.operation + ": " + f.err.Error() }
func (f *apiFailure) Unwrap() error { return f.err }

// code is Unavailable unless the API server's answer is final: whether the request had an effect is not known.
func (f *apiFailure) code() codes.Code {
	switch {
	case apierrors.IsInvalid(f.err):
		return codes.InvalidArgument
	case apierrors.IsConflict(f.err), apierrors.IsAlreadyExists(f.err):
		return codes.Aborted
	}
	return codes.Unavailable
}

// apiError names the operation that err ended; nil stays nil.
func apiError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &apiFailure{fmt.Sprintf(format, args...), err}
}

// parseCode reads a code's name as LogicalVolume.status.code holds it. An unknown name is Aborted: the agent may be
// newer than this process, and Aborted is the answer that is asked again.
func parseCode(name string) codes.Code {
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		if code.String() == name && code != codes.OK {
			return code
		}
	}
	return codes.Aborted
}
