package lvmcli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/prometheus/client_golang/prometheus"
)

// script stands in for the lvm binary: a shell script that notes its arguments and then does what a test says.
type script struct {
	directory string
	manager   *Manager
	codes     *prometheus.Registry
}

// newScript makes one. In behaviour, $1 is the LVM command, and $here is a directory for files.
func newScript(t *testing.T, options Options, behaviour string) *script {
	t.Helper()
	s := &script{directory: t.TempDir(), codes: prometheus.NewRegistry()}
	options.Binary = filepath.Join(s.directory, "lvm")
	content := "#!/bin/sh\nhere=" + s.directory + "\necho \"$@\" >>$here/log\n" + behaviour
	if err := os.WriteFile(options.Binary, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if options.Observe, err = NewObserver(s.codes); err != nil {
		t.Fatal(err)
	}
	s.manager = New(options)
	return s
}

// commands are the arguments of the executions so far, without the common options; an empty line is a shell's.
func (s *script) commands(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.directory, "log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.Replace(line, " --config "+DefaultConfig, "", 1)
	}
	return lines
}

// write puts a file where the behaviour finds it.
func (s *script) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.directory, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *script) exists(name string) bool {
	_, err := os.Stat(filepath.Join(s.directory, name))
	return err == nil
}

// waitFor waits for a file of the behaviour's.
func (s *script) waitFor(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !s.exists(name); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not appear", name)
		}
	}
}

func request(volumeGroup string) lvm.CreateRequest {
	return lvm.CreateRequest{VolumeGroup: volumeGroup, Name: "pvc-1", SizeBytes: 4 << 20, PhysicalVolumes: []string{"/dev/a"}}
}
