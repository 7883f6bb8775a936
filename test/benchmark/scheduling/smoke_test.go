//go:build integration

package main

import (
	"bytes"
	"regexp"
	"testing"
)

// TestSmallBenchmark keeps the benchmark from rotting: it places a few pods with both schedulers. No clock fails it.
func TestSmallBenchmark(t *testing.T) {
	var out bytes.Buffer
	args := []string{"-repository", "../../..", "-nodes", "50", "-pods", "50", "-rounds", "1", "-only", "claims"}
	if err := run(t.Context(), args, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^\| berth-scheduler \| 50 \|`, `(?m)^\| kube-scheduler, no capacity check \| 50 \|`, `(?m)^throughput ours ÷ upstream: \*\*\d`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the tables do not match %s:\n%s", want, out.String())
		}
	}
}
