package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/test/lab/layout"
)

func TestTakeName(t *testing.T) {
	clusterName = "lab"
	cases := map[string]struct {
		args     []string
		wantName string
		wantRest []string
	}{
		"none":               {args: []string{"get", "pods"}, wantName: "lab", wantRest: []string{"get", "pods"}},
		"first":              {args: []string{"--name", "two", "get"}, wantName: "two", wantRest: []string{"get"}},
		"kubectl's own flag": {args: []string{"get", "--name", "x"}, wantName: "lab", wantRest: []string{"get", "--name", "x"}},
		"without a value":    {args: []string{"--name"}, wantName: "lab", wantRest: []string{"--name"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if name, rest := takeName(c.args); name != c.wantName || !slices.Equal(rest, c.wantRest) {
				t.Errorf("got %s %v, want %s %v", name, rest, c.wantName, c.wantRest)
			}
		})
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, command := range rootCommand().Commands() {
		if command.Short == "" {
			t.Errorf("%s has no help", command.Name())
		}
	}
}

func TestStatusOfNothing(t *testing.T) {
	t.Setenv("BERTH_LAB_STATE", t.TempDir())
	var out bytes.Buffer
	if err := printStatus(t.Context(), &out); err != nil || !strings.Contains(out.String(), "no clusters") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

func TestDefaultGroupsFitTheDefaultNodes(t *testing.T) {
	nodes, err := layout.NewNodes(len(defaultGroups), defaultGroups, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "berth: 20480 MiB"
	if got := describeDisks(nodes[0]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	nodes[0].SpareDisks = []int64{1 << 30}
	if got := describeDisks(nodes[0]); got != want+", spare: 1024 MiB" {
		t.Errorf("got %q", got)
	}
}
