package toolchain

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProgramsAreNamedAsTheyAreUsed(t *testing.T) {
	var all []string
	for _, group := range append(Groups(), StorageSuiteGroups()...) {
		all = append(all, programs(group)...)
	}
	for _, want := range []string{"etcd", "containerd", "containerd-shim-runc-v2", "ctr", "kube-apiserver", "kubelet", "kubectl", "csi-provisioner", "csi-resizer", "csi-snapshotter", "snapshot-controller", "ginkgo", "agnhost", "e2e.test"} {
		if !slices.Contains(all, want) {
			t.Errorf("no group builds %s: %v", want, all)
		}
	}
}

func TestVersionFlagsAgreeWithTheModules(t *testing.T) {
	for _, group := range []string{"kubernetes", "e2e"} {
		content, err := os.ReadFile(filepath.Join("..", "binaries", group, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(strings.Fields(string(content)), KubernetesVersion) {
			t.Errorf("the module %s does not pin k8s.io/kubernetes %s", group, KubernetesVersion)
		}
	}
	if flags := kubernetesVersionFlags(); !strings.Contains(flags, "gitVersion="+KubernetesVersion+" ") || strings.Contains(flags, "gitMajor=v") {
		t.Errorf("flags %q", flags)
	}
}

func TestPackageCounter(t *testing.T) {
	counter := &packageCounter{group: "g", started: time.Now(), report: func(string, ...any) {}}
	for _, part := range []string{"pkg/a\npk", "g/b\n", "# pkg/c\nerror: broken"} {
		fmt.Fprint(counter, part)
	}
	var told string
	counter.report = func(format string, args ...any) { told = fmt.Sprintf(format, args...) }
	counter.tell()
	if !strings.Contains(told, "3 packages") || !strings.HasSuffix(told, "# pkg/c") {
		t.Errorf("told %q", told)
	}
	if got, want := counter.tail(), "pkg/a\npkg/b\n# pkg/c\nerror: broken"; got != want {
		t.Errorf("tail %q, want %q", got, want)
	}
}

// module makes a module with one program.
func module(t *testing.T, program string) (modules string, group Group) {
	t.Helper()
	modules = t.TempDir()
	files := map[string]string{"go.mod": "module example.com/tool\n\ngo 1.26\n", "go.sum": "", "cmd/hello/main.go": program}
	for name, content := range files {
		path := filepath.Join(modules, "tool", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return modules, Group{Name: "tool", Packages: []string{"example.com/tool/cmd/hello"}, Rename: map[string]string{"hello": "greet"}}
}

func TestBuildOnce(t *testing.T) {
	modules, group := module(t, "package main\n\nfunc main() {}\n")
	builds := 0
	builder := Builder{Modules: modules, Cache: t.TempDir(), Progress: func(format string, args ...any) {
		if strings.HasPrefix(format, "building %s: %s") {
			builds++
		}
	}}
	dir, err := builder.Build(context.Background(), group)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "greet")); err != nil {
		t.Error(err)
	}
	if again, err := builder.Build(context.Background(), group); err != nil || again != dir || builds != 1 {
		t.Errorf("second build: %s, %v after %d builds, want %s after 1", again, err, builds, dir)
	}
	group.LinkerFlags = "-X main.v=1"
	if other, err := builder.Build(context.Background(), group); err != nil || other == dir {
		t.Errorf("with other flags: %s, %v, want another directory than %s", other, err, dir)
	}
}

func TestTestProgramIsBuiltAndKeyedByItsSource(t *testing.T) {
	modules, group := module(t, "package main\n\nfunc main() {}\n")
	own := filepath.Join(modules, "tool", "own_test.go")
	write := func(content string) {
		if err := os.WriteFile(own, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(modules, "tool", "own.go"), []byte("package tool\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	write("package tool\n")
	group.Test = "own.test"
	builder := Builder{Modules: modules, Cache: t.TempDir(), Progress: t.Logf}
	dir, err := builder.Build(context.Background(), group)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"greet", "own.test"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	write("package tool\n\nvar changed bool\n")
	if other, err := builder.Build(context.Background(), group); err != nil || other == dir {
		t.Errorf("with another source: %s, %v, want another directory than %s", other, err, dir)
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	modules, group := module(t, "package main\n\nfunc main() { broken }\n")
	builder := Builder{Modules: modules, Cache: t.TempDir(), Progress: t.Logf}
	if _, err := builder.Build(context.Background(), group); err == nil || !strings.Contains(err.Error(), "undefined: broken") {
		t.Errorf("error %v, want the compiler's", err)
	}
	left, err := filepath.Glob(filepath.Join(builder.Cache, "*"))
	if err != nil || slices.ContainsFunc(left, func(path string) bool { return filepath.Base(path) != ".lock" }) {
		t.Errorf("left %v, %v", left, err)
	}
}
