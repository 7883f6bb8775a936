package prepare

import "testing"

func TestFPCache(t *testing.T) {
	told := 0
	p := &Preparer{Cache: t.TempDir(), Progress: func(string, ...any) { told++ }}
	compiled, err := p.FPCache(t.Context())
	if err != nil || !exists(compiled) || told != 0 {
		t.Fatalf("library %q, %d lines of progress, %v", compiled, told, err)
	}
	// What is compiled already needs no compiler; nodes do without what cannot be compiled.
	t.Setenv("PATH", t.TempDir())
	if again, err := p.FPCache(t.Context()); again != compiled || err != nil {
		t.Errorf("library %q, %v, want %q", again, err, compiled)
	}
	p.Cache = t.TempDir()
	if none, err := p.FPCache(t.Context()); none != "" || err != nil || told != 1 {
		t.Errorf("without a compiler: library %q, %d lines of progress, %v", none, told, err)
	}
}
