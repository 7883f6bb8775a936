package lvmcli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestReportIsKilledAtItsDeadline(t *testing.T) {
	s := newScript(t, Options{ReportTimeout: 300 * time.Millisecond}, "(sleep 1; touch $here/survived) & touch $here/started; wait")
	started := time.Now()
	_, err := s.manager.Report(context.Background(), []string{"vg0"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline's", err)
	}
	if took := time.Since(started); took > 900*time.Millisecond {
		t.Errorf("took %v", took)
	}
	s.waitFor(t, "started")
	time.Sleep(1200*time.Millisecond - time.Since(started))
	if s.exists("survived") {
		t.Error("a child of the report outlived it")
	}
}

func TestChangeIsNeverKilled(t *testing.T) {
	s := newScript(t, Options{ChangeTimeout: 200 * time.Millisecond},
		`case "$*" in *hanging*) until [ -e $here/go ]; do sleep 0.02; done; echo done; echo done >&2; touch $here/ended;; esac`)
	ctx, cancel := context.WithCancel(context.Background())
	err := s.manager.Create(ctx, request("hanging"))
	cancel() // the caller going away changes nothing
	if !errors.Is(err, lvm.ErrHung) {
		t.Errorf("error %v, want hung", err)
	}
	if err := s.manager.Create(context.Background(), request("hanging")); !errors.Is(err, lvm.ErrBusy) {
		t.Errorf("error %v, want busy", err)
	}
	if err := s.manager.Drain(shortly(t)); !errors.Is(err, lvm.ErrBusy) {
		t.Errorf("error %v, want busy", err)
	}
	if err := s.manager.Create(context.Background(), request("other")); err != nil {
		t.Errorf("another volume group waits: %v", err)
	}
	s.write(t, "go", "")
	if err := s.manager.Drain(context.Background()); err != nil {
		t.Error(err)
	}
	if !s.exists("ended") {
		t.Error("the command did not come to its end")
	}
	if err := s.manager.Create(context.Background(), request("hanging")); err != nil {
		t.Errorf("the volume group is still busy: %v", err)
	}
	if n, err := testutil.GatherAndCount(s.codes, "berth_lvm_command_duration_seconds"); err != nil || n != 2 {
		t.Errorf("%d series (%v), want lvcreate hung and lvcreate 0", n, err)
	}
}

func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestCancelledChangeGoesOn(t *testing.T) {
	s := newScript(t, Options{}, "touch $here/started; sleep 0.3; touch $here/ended")
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		s.waitFor(t, "started")
		cancel()
	}()
	if err := s.manager.Create(ctx, request("vg0")); !errors.Is(err, lvm.ErrHung) {
		t.Errorf("error %v, want hung", err)
	}
	s.waitFor(t, "ended")
}

func TestEnvironmentIsFixed(t *testing.T) {
	t.Setenv("LVM_COMMAND_PROFILE", "other")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	s := newScript(t, Options{}, "env >$here/env")
	if err := s.manager.Create(context.Background(), request("vg0")); err != nil {
		t.Fatal(err)
	}
	environment, err := os.ReadFile(filepath.Join(s.directory, "env"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(environment), "\n")
	for _, want := range []string{"LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1"} {
		if !slices.Contains(lines, want) {
			t.Errorf("environment %q lacks %s", environment, want)
		}
	}
	if strings.Contains(string(environment), "PROFILE") {
		t.Errorf("environment %q has more than it should", environment)
	}
}

func TestBinaryMissing(t *testing.T) {
	manager := New(Options{Binary: "/no/such/lvm"})
	for range 2 { // the lock is free again
		if err := manager.Create(shortly(t), request("vg0")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v, want not exist", err)
		}
	}
}

// TestFinishIsOneExecution feeds a shell, which says what its lines were.
func TestFinishIsOneExecution(t *testing.T) {
	s := newScript(t, Options{}, `cat >$here/input; cat $here/full`)
	s.write(t, "full", rows("", "berth.dev,berth.dev/ready"))
	if _, err := s.manager.Finish(context.Background(), "vg0", "pvc-1"); err != nil {
		t.Fatal(err)
	}
	input, err := os.ReadFile(filepath.Join(s.directory, "input"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(input)), "\n")
	common := "--config '" + DefaultConfig + "'"
	if len(lines) != 2 || lines[0] != "lvchange "+common+" --yes --select lv_tags=berth.dev --addtag berth.dev/ready vg0/pvc-1" ||
		!strings.HasPrefix(lines[1], "fullreport "+common+" ") || !strings.HasSuffix(lines[1], " vg0") {
		t.Errorf("lines %q", lines)
	}
	if commands := s.commands(t); len(commands) != 1 {
		t.Errorf("%d executions, want 1", len(commands))
	}
}

func TestFinishReadsTheTruth(t *testing.T) {
	for _, c := range []struct {
		name, rows, stderr string
		want               error
	}{
		{"no volume", rows(""), `Failed to find logical volume "vg0/pvc-1"`, lvm.ErrNotFound},
		{"no volume group", "", `Volume group "vg0" not found`, lvm.ErrNotFound},
		{"not ours", rows("", "berth.devel"), "", lvm.ErrForeign},
		{"not ours and ready", rows("", "berth.dev/ready"), "", lvm.ErrForeign},
		{"no room for the tag", rows("", "berth.dev"), "VG vg0 41 metadata on /dev/a (9 bytes) exceeds maximum metadata size (8 bytes)", lvm.ErrNoSpace},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, Options{}, `echo '  Logical volume vg0/pvc-1 changed.'; cat $here/full; cat $here/words >&2`)
			s.write(t, "full", c.rows)
			s.write(t, "words", "  "+c.stderr+"\n")
			if _, err := s.manager.Finish(context.Background(), "vg0", "pvc-1"); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestLongOutput(t *testing.T) {
	s := newScript(t, Options{}, `cat $here/full`)
	s.write(t, "full", rows("", slices.Repeat([]string{"berth.dev,berth.dev/claim=default/data"}, 10_000)...))
	if vg := report(t, s); len(vg.LogicalVolumes) != 10_000 { // 1.5 MB
		t.Errorf("%d volumes, want 10000", len(vg.LogicalVolumes))
	}
}

func TestReportOfNothing(t *testing.T) {
	report, err := New(Options{Binary: "/no/such/lvm"}).Report(context.Background(), nil)
	if err != nil || len(report.VolumeGroups) != 0 {
		t.Errorf("report %+v (%v), want an empty one without an execution", report, err)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	ctx, manager := context.Background(), New(Options{Binary: "/no/such/lvm"})
	for _, bad := range []string{"", "-a", "a b", "a\nlvremove vg0", "a'b"} {
		_, reportErr := manager.Report(ctx, []string{bad})
		_, finishErr := manager.Finish(ctx, "vg0", bad)
		for operation, err := range map[string]error{
			"report":   reportErr,
			"create":   manager.Create(ctx, request(bad)),
			"thin":     manager.Create(ctx, lvm.CreateRequest{VolumeGroup: "vg0", Name: "a", SizeBytes: 1, Layout: lvm.Layout{Type: lvm.LayoutThin, ThinPool: bad, OverprovisionPercent: 100}}),
			"pool":     manager.CreatePool(ctx, lvm.PoolRequest{VolumeGroup: "vg0", Name: bad, SizeBytes: 1, MetadataSizeBytes: 1, PhysicalVolumes: []string{"/dev/a"}}),
			"tag":      manager.Tag(ctx, "vg0", bad, "x"),
			"finish":   finishErr,
			"remove":   manager.Remove(ctx, "vg0", bad),
			"activate": manager.Activate(ctx, "vg0", []string{"a", bad}),
		} {
			if !errors.Is(err, lvm.ErrNotFound) {
				t.Errorf("%s of %q: error %v, want not found", operation, bad, err)
			}
		}
	}
}

// TestReportsReadAroundAHungCommand: LVM's lock of the volume group is taken by the command that hangs.
func TestReportsReadAroundAHungCommand(t *testing.T) {
	s := newScript(t, Options{}, `cat $here/full`)
	s.write(t, "full", rows(""))
	report(t, s)
	s.manager.hung.since = map[string]time.Time{"vg0": time.Now().Add(-hungAfter - time.Second)}
	report(t, s)
	s.manager.hung.end("vg0")
	s.manager.hung.start("vg0") // an ordinary command is waited for
	report(t, s)
	var without []bool
	for _, command := range s.commands(t) {
		without = append(without, strings.Contains(command, "--nolocking"))
	}
	if want := []bool{false, true, false}; !slices.Equal(without, want) {
		t.Errorf("without locks %v, want %v", without, want)
	}
}

// TestDeadCommand dies by a signal: nothing is known of what it had done, and the volume group is free again.
func TestDeadCommand(t *testing.T) {
	s := newScript(t, Options{}, `kill -9 $$`)
	for range 2 {
		err := s.manager.Create(context.Background(), request("vg0"))
		if err == nil || errors.Is(err, lvm.ErrBusy) || errors.Is(err, lvm.ErrHung) {
			t.Errorf("error %v, want one that says nothing of the outcome", err)
		}
	}
	if _, err := s.manager.Finish(context.Background(), "vg0", "pvc-1"); err == nil {
		t.Error("finish succeeded")
	}
}
