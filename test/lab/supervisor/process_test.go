package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func shell(t *testing.T, script string) command {
	return command{name: "test", path: "/bin/sh", args: []string{"-c", script}, dir: t.TempDir(), log: filepath.Join(t.TempDir(), "log")}
}

// eventually waits for a change that another process makes.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestKillEndsTheWholeGroup(t *testing.T) {
	c := shell(t, "(while :; do touch alive; sleep 0.02; done) & wait")
	p, err := start(c)
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(c.dir, "alive")
	exists := func() bool { _, err := os.Stat(mark); return err == nil }
	eventually(t, "the child starts", exists)
	p.kill()
	if p.running() {
		t.Error("running after kill")
	}
	eventually(t, "the child is gone", func() bool {
		_ = os.Remove(mark)
		time.Sleep(100 * time.Millisecond)
		return !exists()
	})
}

func TestStopKillsAfterTheLimit(t *testing.T) {
	c := shell(t, "trap '' TERM; touch ready; while :; do sleep 0.02; done")
	p, err := start(c)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal is ignored", func() bool {
		_, err := os.Stat(filepath.Join(c.dir, "ready"))
		return err == nil
	})
	p.stop(50 * time.Millisecond)
	if p.running() {
		t.Error("running after stop")
	}
}

func TestServiceStartsAgainUntilStopped(t *testing.T) {
	c := shell(t, "echo run >> runs")
	s := &service{command: c}
	runs := func() int {
		content, _ := os.ReadFile(filepath.Join(c.dir, "runs"))
		return strings.Count(string(content), "run")
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs twice", func() bool { return runs() >= 2 })
	s.stop()
	if s.state() != StateStopped {
		t.Errorf("state %s, want %s", s.state(), StateStopped)
	}
	before := runs()
	time.Sleep(restartDelay + 500*time.Millisecond)
	if after := runs(); after != before {
		t.Errorf("%d runs after stop, %d before", after, before)
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs after a new start", func() bool { return runs() > before })
	s.stop()
}
