package prepare

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestWithLoader(t *testing.T) {
	const old = "/lib64/ld-linux-x86-64.so.2"
	changed, err := withLoader([]byte("\x7fELF"+old+"\x00rest"), "ld.so")
	want := "\x7fELFld.so" + strings.Repeat("\x00", len(old)-len("ld.so")) + "\x00rest"
	if err != nil || string(changed) != want {
		t.Errorf("%q, %v, want %q", changed, err, want)
	}
	if _, err := withLoader([]byte("\x7fELF"), "ld.so"); err == nil {
		t.Error("a program without a loader is accepted")
	}
}

// Nodes do without a newer kernel where there is none to be had; an interrupt is an interrupt.
func TestKernelIsMissing(t *testing.T) {
	told := 0
	p := &Preparer{Cache: t.TempDir(), Progress: func(string, ...any) { told++ }}
	t.Setenv("PATH", t.TempDir())
	if path, err := p.Kernel(t.Context()); path != "" || err != nil || told != 2 {
		t.Errorf("kernel %q, %v, %d lines of progress, want none and two", path, err, told)
	}
	entries, err := os.ReadDir(p.Cache + "/lab/kernels")
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := p.Kernel(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
