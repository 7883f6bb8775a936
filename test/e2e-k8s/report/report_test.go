package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const junit = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites><testsuite name="Kubernetes e2e suite">
  <testcase name="[SynchronizedBeforeSuite]" status="passed"></testcase>
  <testcase name="[It] External Storage [Driver: d] volumes should store data" status="passed"></testcase>
  <testcase name="[It] External Storage [Driver: d] volumes should break" status="STATUS"></testcase>
  <testcase name="[It] External Storage [Driver: d] multiVolume on two nodes" status="skipped"><skipped message="skipped - one node only -- skipping"></skipped></testcase>
  <testcase name="[It] External Storage [Driver: d] subPath [Disruptive] kubelet down" status="skipped"><skipped message="skipped"></skipped></testcase>
  <testcase name="[It] External Storage [Driver: d] outside the focus" status="skipped"><skipped message="skipped"></skipped></testcase>
  <testcase name="[It] [sig-node] Pods should run" status="skipped"><skipped message="skipped"></skipped></testcase>
</testsuite></testsuites>`

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReport(t *testing.T) {
	rules := write(t, "excluded.txt", "# no SSH\n\\[Disruptive\\]\n")
	const skips = `
Not run, by reason:
   1  no SSH
        subPath [Disruptive] kubelet down
   1  one node only
        multiVolume on two nodes
`
	cases := map[string]struct {
		status  string
		want    string
		wantErr error
	}{
		"passed":    {"passed", skips + "\n2 passed, 0 failed, 2 skipped\n", nil},
		"failed":    {"failed", skips + "\nFailed:\n      volumes should break\n\n1 passed, 1 failed, 2 skipped\n", errNotPassed},
		"timed out": {"timedout", skips + "\nFailed:\n      volumes should break\n\n1 passed, 1 failed, 2 skipped\n", errNotPassed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := run(&out, rules, []string{write(t, "junit.xml", strings.Replace(junit, "STATUS", tc.status, 1))})
			if !errors.Is(err, tc.wantErr) || out.String() != tc.want {
				t.Errorf("got %v\n%s\nwant %v\n%s", err, out.String(), tc.wantErr, tc.want)
			}
		})
	}
}

func TestNothingRunIsAFailure(t *testing.T) {
	var out strings.Builder
	if err := run(&out, "", []string{write(t, "junit.xml", "<testsuites></testsuites>")}); !errors.Is(err, errNotPassed) {
		t.Errorf("got %v, want %v", err, errNotPassed)
	}
}

func TestFailedSetupIsAFailure(t *testing.T) {
	var out strings.Builder
	content := strings.Replace(junit, `BeforeSuite]" status="passed"`, `BeforeSuite]" status="failed"`, 1)
	err := run(&out, "", []string{write(t, "junit.xml", content)})
	if !errors.Is(err, errNotPassed) || !strings.Contains(out.String(), "[SynchronizedBeforeSuite]") {
		t.Errorf("got %v\n%s", err, out.String())
	}
}

func TestEveryExclusionHasAReason(t *testing.T) {
	rules, err := readRules(filepath.Join("..", "excluded.txt"))
	if err != nil || len(rules) == 0 {
		t.Errorf("got %d rules, %v", len(rules), err)
	}
	if _, err := readRules(write(t, "excluded.txt", "x\n")); err == nil {
		t.Error("a rule without a reason was read")
	}
}
