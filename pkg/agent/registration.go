package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"k8s.io/klog/v2"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Registration tells the kubelet where the driver's CSI socket is: the kubelet watches a directory for sockets and
// asks each who it is (k8s.io/kubelet/pkg/apis/pluginregistration). It asks again by itself after it restarted.
type Registration struct {
	registration.UnimplementedRegistrationServer
	// Socket is our own in the kubelet's plugins_registry directory, as this process sees it.
	Socket string
	// Endpoint is the CSI socket, as the kubelet sees it.
	Endpoint string
}

// Serve answers the kubelet until ctx ends, and takes the socket away then, so that the kubelet does not call a
// driver that is not there. A socket left over is replaced.
func (r *Registration) Serve(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(r.Socket), 0o750); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	if err := os.Remove(r.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("registration: remove the old socket: %w", err)
	}
	listener, err := net.Listen("unix", r.Socket)
	if err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, r)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	klog.FromContext(ctx).V(2).Info("Registering with the kubelet", "socket", r.Socket, "endpoint", r.Endpoint)
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("registration: %w", err)
	}
	return nil
}

// GetInfo implements the kubelet's registration service.
func (r *Registration) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: v1alpha1.DriverName, Endpoint: r.Endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus implements the kubelet's registration service. A refusal is logged: the kubelet asks again
// when the socket is made anew, and until then there is nothing to mend from here.
func (r *Registration) NotifyRegistrationStatus(ctx context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	logger := klog.FromContext(ctx)
	if status.GetPluginRegistered() {
		logger.Info("Registered with the kubelet")
	} else {
		logger.Error(errors.New(status.GetError()), "The kubelet refused the driver")
	}
	return &registration.RegistrationStatusResponse{}, nil
}
