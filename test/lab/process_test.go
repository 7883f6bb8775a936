package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-dev/berth/test/lab/layout"
)

func TestParseStat(t *testing.T) {
	const tail = "1 2 3 0 -1 4194560 5 6 7 8 9 10 11 12 20 0 1 0 4242 100 200"
	cases := map[string]struct {
		line   string
		ticks  uint64
		zombie bool
		fails  bool
	}{
		"plain":                 {line: "77 (lab) S " + tail, ticks: 4242},
		"spaces and a paren":    {line: "77 (a) b (c) S " + tail, ticks: 4242},
		"zombie":                {line: "77 (lab) Z " + tail, ticks: 4242, zombie: true},
		"cut short":             {line: "77 (lab) S 1 2", fails: true},
		"empty":                 {line: "", fails: true},
		"start is not a number": {line: "77 (lab) S " + strings.Replace(tail, "4242", "x", 1), fails: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ticks, zombie, err := parseStat(c.line)
			if (err != nil) != c.fails || !c.fails && (ticks != c.ticks || zombie != c.zombie) {
				t.Errorf("got %d, %v, %v", ticks, zombie, err)
			}
		})
	}
}

func TestSupervisorOf(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	otherStart, otherBoot := self, self
	otherStart.StartTicks++
	otherBoot.BootID = "another boot"
	cases := map[string]struct {
		id    processID
		alive bool
	}{
		"running":                    {id: self, alive: true},
		"number used again":          {id: otherStart},
		"number of an earlier boot":  {id: otherBoot},
		"no process has this number": {id: processID{PID: 1 << 30}},
		"nothing written":            {},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			state := layout.State(t.TempDir())
			if err := layout.WriteJSON(state.Process(), c.id); err != nil {
				t.Fatal(err)
			}
			if _, alive := supervisorOf(state); alive != c.alive {
				t.Errorf("alive %v, want %v", alive, c.alive)
			}
		})
	}
	if _, alive := supervisorOf(layout.State(t.TempDir())); alive {
		t.Error("a directory without a process file is alive")
	}
}

func TestKill(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.kill(); err != nil {
		t.Fatal(err)
	}
	if id.alive() {
		t.Error("the process lives")
	}
	if err := id.kill(); err != nil {
		t.Errorf("killing a dead process: %v", err)
	}
}

func TestDownRemovesWhatADeadSupervisorLeft(t *testing.T) {
	t.Setenv("BERTH_LAB_STATE", t.TempDir())
	state, err := stateOf("old")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(state.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := layout.WriteJSON(state.Process(), processID{PID: 1 << 30, StartTicks: 1}); err != nil {
		t.Fatal(err)
	}
	if clusters, err := Clusters(); err != nil || len(clusters) != 1 || clusters["old"] {
		t.Errorf("clusters %v, %v; want old, dead", clusters, err)
	}
	if _, err := Open("old"); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("Open: %v", err)
	}
	if err := Down("old"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(state.Dir()))
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if err := Down("old"); err != nil {
		t.Errorf("down of nothing: %v", err)
	}
}

func TestOneCommandAtATimeMakesACluster(t *testing.T) {
	state := layout.State(filepath.Join(t.TempDir(), "lab"))
	unlock, err := lockState(state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(state); err == nil || !strings.Contains(err.Error(), "another lab command") {
		t.Errorf("second lock: %v", err)
	}
	unlock()
	unlock, err = lockState(state)
	if err != nil {
		t.Fatalf("lock after unlock: %v", err)
	}
	unlock()
}

func TestLockOnARemovedFileIsNoLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if !isAt(file, path) {
		t.Error("the file is not where it was made")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if isAt(file, path) {
		t.Error("a removed file is there")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if isAt(file, path) {
		t.Error("another file of the same name passes for it")
	}
}

func TestFindRepo(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	if _, err := FindRepo(""); err == nil {
		t.Error("found a checkout where there is none")
	}
	if _, err := FindRepo(root); err == nil {
		t.Error("took a directory for a checkout")
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module "+modulePath+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if found, err := FindRepo(""); err != nil || !sameFile(t, found, root) {
		t.Errorf("found %s, %v", found, err)
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	first, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(first, second)
}
