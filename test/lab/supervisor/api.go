package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/berth-dev/berth/test/lab/layout"
)

// States of components and nodes.
const (
	StateRunning    = "running"
	StateStopped    = "stopped"
	StateRestarting = "restarting"
)

// Paths of the control interface. Requests are POST except for PathStatus; the answer is 204, or an error's text.
const (
	PathStatus            = "/status"
	PathDetach            = "/detach"
	PathStartNode         = "/nodes/start"
	PathPowerCut          = "/nodes/power-cut"
	PathStopControlPlane  = "/control-plane/stop"
	PathStartControlPlane = "/control-plane/start"
	PathStopComponent     = "/components/stop"
	PathStartComponent    = "/components/start"
	PathSnapshotEtcd      = "/etcd/snapshot"
	PathRestoreEtcd       = "/etcd/restore"
	parameterName         = "name"
)

// Status is the answer to PathStatus.
type Status struct {
	// APIReady says that the API server answered once since the control plane was last started.
	APIReady bool
	// Failure is why the cluster cannot come up; empty while all is well.
	Failure string
	// Components and Nodes map names to states.
	Components map[string]string
	Nodes      map[string]string
}

// handler serves the control interface.
func (s *Supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathStatus, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.status())
	})
	post := func(path string, do func(ctx context.Context, name string) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			// The caller's going away must not leave a change half done.
			if err := do(context.WithoutCancel(r.Context()), r.FormValue(parameterName)); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	post(PathDetach, func(context.Context, string) error { s.detached.Store(true); return nil })
	post(PathStartNode, func(_ context.Context, name string) error { return s.withNode(name, (*machine).start) })
	post(PathPowerCut, func(_ context.Context, name string) error {
		return s.withNode(name, func(m *machine) error { m.powerCut(); return nil })
	})
	post(PathStopControlPlane, s.exclusive(func(context.Context, string) error { s.plane.stop(); return nil }))
	post(PathStartControlPlane, s.exclusive(func(ctx context.Context, _ string) error { return s.plane.start(ctx) }))
	post(PathStopComponent, s.exclusive(func(_ context.Context, name string) error { return s.plane.stopOne(name) }))
	post(PathStartComponent, s.exclusive(func(ctx context.Context, name string) error { return s.plane.startOne(ctx, name) }))
	post(PathSnapshotEtcd, s.exclusive(s.plane.snapshot))
	post(PathRestoreEtcd, s.exclusive(s.plane.restore))
	return mux
}

// exclusive lets one change of the control plane run at a time.
func (s *Supervisor) exclusive(do func(context.Context, string) error) func(context.Context, string) error {
	return func(ctx context.Context, name string) error {
		s.planeMu.Lock()
		defer s.planeMu.Unlock()
		return do(ctx, name)
	}
}

func (s *Supervisor) withNode(name string, do func(*machine) error) error {
	index, ok := s.config.Index(name)
	if !ok {
		return fmt.Errorf("no node is called %q", name)
	}
	if err := do(s.machines[index]); err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	return nil
}

// listen makes the control socket. Its path may be longer than a socket address, so it is made relative to the
// working directory, which is the state directory.
func listen() (net.Listener, error) {
	if err := os.Remove(layout.SocketName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", layout.SocketName)
}

// Client speaks to a supervisor.
type Client struct{ http *http.Client }

// NewClient returns a client of the cluster in the state directory.
func NewClient(state layout.State) *Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialLong(ctx, state)
	}}
	return &Client{http: &http.Client{Transport: transport}}
}

// dialLong reaches the socket through a file descriptor of its directory, whatever the length of the path.
func dialLong(ctx context.Context, state layout.State) (net.Conn, error) {
	dir, err := os.Open(state.Dir())
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), layout.SocketName))
}

// Status asks for the state of everything.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://lab"+PathStatus, nil)
	if err != nil {
		return Status{}, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Status{}, err
	}
	defer response.Body.Close()
	var status Status
	return status, json.NewDecoder(response.Body).Decode(&status)
}
