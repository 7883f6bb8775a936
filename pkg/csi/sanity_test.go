package csi

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-dev/berth/pkg/luks/luksfake"
	"github.com/berth-dev/berth/test/sanity"
)

// TestSanity runs csi-sanity against controller and node service in this process, over real sockets, with a fake API
// server, agent and mounter.
func TestSanity(t *testing.T) {
	ctx := quiet(t)
	c := newCluster(t, 1024*gib)
	// Short: a unix socket's path has 108 bytes at most.
	directory := t.TempDir()
	mounter := &fakeMounter{fallback: func(device string) string {
		lv := c.volume(filepath.Base(device))
		return lv.Spec.FSType
	}}
	identity := NewIdentity("test", c.controller.Ready)
	controllerSocket := serve(ctx, t, filepath.Join(directory, "c"), Services{Identity: identity, Controller: c.controller})
	nodeSocket := serve(ctx, t, filepath.Join(directory, "n"), Services{Identity: identity, Node: NewNode("node-1", c.agent, mounter, luksfake.New())})

	sanity.Run(t, sanity.Services{
		NodeEndpoint:       nodeSocket,
		ControllerEndpoint: controllerSocket,
		Directory:          directory,
		VolumeBytes:        1 * gib,
		ExpandedBytes:      2 * gib,
	})

	list, err := c.api.LogicalVolumes().List(ctx, everything)
	if err != nil || len(list.Items) != 0 {
		t.Errorf("%d volumes are left, error %v", len(list.Items), err)
	}
	if mounts, _ := mounter.Mounts(); len(mounts) != 0 {
		t.Errorf("mounts are left: %v", mounts)
	}
}

// serve serves until the test ends and returns the endpoint.
func serve(ctx context.Context, t *testing.T, socket string, services Services) string {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	endpoint := "unix://" + socket
	go func() { done <- Serve(ctx, endpoint, services, NewMetrics(prometheus.NewRegistry())) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return endpoint
}
