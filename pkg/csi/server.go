package csi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-lib-utils/protosanitizer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
)

// stopGrace is how long calls may go on after the context of Serve has ended. Longer would keep a node's shutdown
// waiting, and every call can be asked again.
const stopGrace = time.Second

// Services are what one process serves; nil ones are left out.
type Services struct {
	Identity   csi.IdentityServer
	Controller csi.ControllerServer
	Node       csi.NodeServer
}

// Serve answers CSI calls on a unix socket until ctx ends, then at most a second more. The endpoint is a path or
// unix://path; a socket left over by an earlier process is replaced.
// Errors: the endpoint is not a unix socket, or cannot be listened on.
func Serve(ctx context.Context, endpoint string, services Services, metrics *Metrics) error {
	listener, err := listen(endpoint)
	if err != nil {
		return err
	}
	server := newServer(ctx, services, metrics)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		timer := time.AfterFunc(stopGrace, server.Stop)
		defer timer.Stop()
		server.GracefulStop()
	}()
	klog.FromContext(ctx).V(2).Info("Serving CSI", "endpoint", listener.Addr().String())
	if err := server.Serve(listener); err != nil {
		return fmt.Errorf("serve CSI on %s: %w", endpoint, err)
	}
	<-stopped
	return nil
}

func listen(endpoint string) (net.Listener, error) {
	socket := strings.TrimPrefix(endpoint, "unix://")
	if socket == "" || strings.Contains(socket, "://") {
		return nil, fmt.Errorf("endpoint %q: not unix://<path of a socket>", endpoint)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("endpoint %q: remove the old socket: %w", endpoint, err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	return listener, nil
}

func newServer(ctx context.Context, services Services, metrics *Metrics) *grpc.Server {
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(
		intercept(klog.FromContext(ctx), metrics),
		recoverPanic,
	))
	if services.Identity != nil {
		csi.RegisterIdentityServer(server, services.Identity)
	}
	if services.Controller != nil {
		csi.RegisterControllerServer(server, services.Controller)
	}
	if services.Node != nil {
		csi.RegisterNodeServer(server, services.Node)
	}
	return server
}

// intercept gives each call its logger, turns its error into a status, and logs and counts the answer.
func intercept(logger klog.Logger, metrics *Metrics) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		method := path.Base(info.FullMethod)
		logger := logger.WithValues("method", method)
		if named, ok := request.(interface{ GetVolumeId() string }); ok {
			logger = logger.WithValues("volumeID", named.GetVolumeId())
		}
		// Probes come every few seconds and say nothing.
		verbosity := 4
		if method == "Probe" {
			verbosity = 6
		}
		logger.V(verbosity).Info("Call", "request", protosanitizer.StripSecrets(request))
		start := time.Now()
		response, err := handler(klog.NewContext(ctx, logger), request)
		elapsed := time.Since(start)
		err = statusError(err)
		metrics.observe(method, status.Code(err), elapsed)
		if err != nil {
			logger.V(2).Info("Call refused", "code", status.Code(err), "err", err, "duration", elapsed)
			return nil, err
		}
		logger.V(verbosity).Info("Answer", "response", protosanitizer.StripSecrets(response), "duration", elapsed)
		return response, nil
	}
}

// recoverPanic keeps one bad call from ending the process and every other call with it.
func recoverPanic(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			klog.FromContext(ctx).Error(fmt.Errorf("panic: %v", cause), "Call panicked", "stack", string(debug.Stack()))
			err = status.Errorf(codes.Internal, "%s panicked: %v", path.Base(info.FullMethod), cause)
		}
	}()
	return handler(ctx, request)
}
