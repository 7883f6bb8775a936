package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
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

// commands are the arguments of the executions so far, without the common options.
func (s *script) commands(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.directory, "log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
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

// rows are a report of vg0 on /dev/a with the second physical volume given, and LVs given.
func rows(secondPV string, lvs ...string) string {
	missing := 0
	if strings.HasPrefix(secondPV, "[") {
		missing = 1
	}
	var text strings.Builder
	fmt.Fprintf(&text, "LVM2_VG_NAME='vg0' LVM2_VG_UUID='u' LVM2_VG_SEQNO='1' LVM2_VG_EXTENT_SIZE='4194304' "+
		"LVM2_VG_SIZE='8388608' LVM2_VG_FREE='8388608' LVM2_VG_MDA_FREE='1' LVM2_VG_MISSING_PV_COUNT='%d' "+
		"LVM2_VG_EXPORTED='0' LVM2_VG_CLUSTERED='0' LVM2_VG_SHARED='0'\n", missing)
	for _, pv := range []string{"/dev/a", secondPV} {
		if pv != "" {
			fmt.Fprintf(&text, "LVM2_PV_NAME='%s' LVM2_PV_UUID='u' LVM2_PV_SIZE='4194304' LVM2_PV_FREE='4194304' "+
				"LVM2_PV_ALLOCATABLE='1' LVM2_PV_MISSING='%d'\n", pv, missing)
		}
	}
	for _, tags := range lvs {
		fmt.Fprintf(&text, "LVM2_LV_NAME='pvc-1' LVM2_LV_UUID='u' LVM2_LV_SIZE='4194304' LVM2_LV_TAGS='%s' "+
			"LVM2_LV_ACTIVE_LOCALLY='1' LVM2_LV_DEVICE_OPEN='0'\n", tags)
	}
	return text.String()
}

func report(t *testing.T, s *script) lvm.VolumeGroup {
	t.Helper()
	report, err := s.manager.Report(context.Background(), []string{"vg0"})
	if err != nil {
		t.Fatal(err)
	}
	return report.VolumeGroups["vg0"]
}

// scoped tells which executions had --devices, and with what.
func scoped(commands []string) []string {
	var scopes []string
	for _, command := range commands {
		_, rest, _ := strings.Cut(command+" ", " --devices ")
		scope, _, _ := strings.Cut(rest, " ")
		scopes = append(scopes, scope)
	}
	return scopes
}

func TestReportsNarrowTheirScan(t *testing.T) {
	s := newScript(t, Options{}, `case "$*" in *--devices*) cat $here/narrow;; *) cat $here/full;; esac`)
	s.write(t, "full", rows("/dev/b"))
	s.write(t, "narrow", rows("/dev/b"))
	report(t, s)
	report(t, s)
	// The operator extends the volume group: its devices of before do not show it whole.
	s.write(t, "narrow", rows("[unknown]"))
	s.write(t, "full", rows("/dev/c"))
	if vg := report(t, s); vg.Unusable() != "" || vg.PhysicalVolumes[1].Name != "/dev/c" {
		t.Errorf("volume group %+v, want what a full scan shows", vg)
	}
	s.write(t, "narrow", rows("/dev/c"))
	report(t, s)
	// A disk is lost: every report scans until it is back.
	s.write(t, "narrow", rows("[unknown]"))
	s.write(t, "full", rows("[unknown]"))
	report(t, s)
	report(t, s)
	want := []string{"", "/dev/a,/dev/b", "/dev/a,/dev/b", "", "/dev/a,/dev/c", "/dev/a,/dev/c", "", ""}
	if got := scoped(s.commands(t)); !slices.Equal(got, want) {
		t.Errorf("scopes %q, want %q", got, want)
	}
}

func TestChangesNarrowTheirScan(t *testing.T) {
	const missing = `echo "  Cannot change VG vg0 while PVs are missing." >&2; exit 5`
	s := newScript(t, Options{}, `case "$*" in
*fullreport*) cat $here/full;;
lvremove*vg_missing_pv_count*) ;;
lvremove*) echo '  Logical volume "pvc-1" successfully removed.';;
lvcreate*--devices*) `+missing+`;;
esac`)
	s.write(t, "full", rows("/dev/b"))
	report(t, s)
	if err := s.manager.Create(context.Background(), request("vg0")); err != nil {
		t.Error(err)
	}
	report(t, s)
	if err := s.manager.Remove(context.Background(), "vg0", "pvc-1"); err != nil {
		t.Error(err)
	}
	commands := s.commands(t)
	// report, create twice, report with a full scan, remove twice.
	want := []string{"", "/dev/a,/dev/b", "", "", "/dev/a,/dev/b", ""}
	if got := scoped(commands); !slices.Equal(got, want) {
		t.Errorf("scopes %q, want %q", got, want)
	}
	for _, command := range commands {
		narrow, guarded := strings.Contains(command, "--devices"), strings.Contains(command, "vg_missing_pv_count=0")
		if strings.HasPrefix(command, "lvremove") && narrow != guarded {
			t.Errorf("%s: a removal must look for missing physical volumes when, and only when, it does not scan", command)
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
