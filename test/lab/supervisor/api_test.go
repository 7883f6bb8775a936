package supervisor

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-dev/berth/test/lab/layout"
)

// serveAPI serves a supervisor whose programs are sleeping shells, from a directory with a path longer than a socket
// address.
func serveAPI(t *testing.T) (*Supervisor, *Client) {
	t.Helper()
	state := layout.State(filepath.Join(t.TempDir(), strings.Repeat("d", 60), strings.Repeat("e", 60)))
	for _, dir := range []string{state.Dir(), filepath.Dir(state.Logs("x"))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := layout.DefaultConfig("test")
	config.Nodes = []layout.Node{{Name: "node1"}}
	s := &Supervisor{state: state, config: config, plane: newControlPlane(state, config)}
	for _, service := range s.plane.services {
		service.command.path, service.command.args = "/bin/sleep", []string{"60"}
	}
	s.machines = []*machine{{state: state, config: config}}
	t.Chdir(state.Dir())
	listener, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.handler()}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); s.plane.stop() })
	return s, NewClient(state)
}

func TestControlInterface(t *testing.T) {
	s, client := serveAPI(t)
	ctx := t.Context()
	if err := client.Do(ctx, PathStartComponent, ControllerManager); err != nil {
		t.Fatal(err)
	}
	status, err := client.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status.Components[ControllerManager] != StateRunning || status.Components[Etcd] != StateStopped || status.Nodes["node1"] != StateStopped {
		t.Errorf("status %+v", status)
	}
	if err := client.Do(ctx, PathStopComponent, ControllerManager); err != nil {
		t.Fatal(err)
	}
	if status, err = client.Status(ctx); err != nil || status.Components[ControllerManager] != StateStopped {
		t.Errorf("status %+v, %v", status, err)
	}
	if err := client.Do(ctx, PathDetach, ""); err != nil || !s.detached.Load() {
		t.Errorf("detach: %v", err)
	}
}

func TestControlInterfaceNamesWhatIsUnknown(t *testing.T) {
	_, client := serveAPI(t)
	for path, want := range map[string]string{
		PathStartNode:     `no node is called "x"`,
		PathPowerCut:      `no node is called "x"`,
		PathStopComponent: `no component is called "x"`,
		PathRestoreEtcd:   `no snapshot "x"`,
	} {
		if err := client.Do(t.Context(), path, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
}

func TestReplaceTreeLeavesNothingOfTheOld(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("from/member/wal", "new")
	write("to/member/wal", "old")
	write("to/extra", "old")
	if err := replaceTree(filepath.Join(dir, "to"), filepath.Join(dir, "from")); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "to", "member", "wal"))
	if err != nil || string(content) != "new" {
		t.Errorf("read %q, %v", content, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "to", "extra")); !os.IsNotExist(err) {
		t.Errorf("the old file is there: %v", err)
	}
}
