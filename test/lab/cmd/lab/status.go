package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-dev/berth/test/lab"
	"github.com/berth-dev/berth/test/lab/layout"
)

func printStatus(ctx context.Context, out io.Writer) error {
	clusters, err := lab.Clusters()
	if err != nil {
		return err
	}
	if len(clusters) == 0 {
		fmt.Fprintln(out, "no clusters; make one with lab up")
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		if !clusters[name] {
			fmt.Fprintf(out, "cluster %s: dead, only files are left; lab down --name %s removes them\n", name, name)
			continue
		}
		if err := printCluster(ctx, out, name); err != nil {
			return err
		}
	}
	return nil
}

func printCluster(ctx context.Context, out io.Writer, name string) error {
	c, err := lab.Open(name)
	if err != nil {
		return err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "cluster %s: running, files in %s\n", name, c.State().Dir())
	if status.Failure != "" {
		fmt.Fprintf(out, "  failure: %s\n", status.Failure)
	}
	for _, component := range slices.Sorted(maps.Keys(status.Components)) {
		fmt.Fprintf(out, "  %-24s %s\n", component, status.Components[component])
	}
	for i, node := range c.Config().Nodes {
		fmt.Fprintf(out, "  %-24s %-10s %-15s %s\n", node.Name, status.Nodes[node.Name], layout.NodeAddress(i), describeDisks(node))
	}
	return nil
}

func describeDisks(node layout.Node) string {
	var parts []string
	for _, group := range node.VolumeGroups {
		var sizes []string
		for _, size := range group.DiskBytes {
			sizes = append(sizes, fmt.Sprintf("%d MiB", size>>20))
		}
		parts = append(parts, group.Name+": "+strings.Join(sizes, " + "))
	}
	for _, size := range node.SpareDisks {
		parts = append(parts, fmt.Sprintf("spare: %d MiB", size>>20))
	}
	return strings.Join(parts, ", ")
}

func logsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "logs [COMPONENT | NODE [console | kubelet | containerd]]", Short: "Show a log, or list all logs", Args: cobra.MaximumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			root, err := layout.StateRoot()
			if err != nil {
				return err
			}
			state, err := layout.NewState(root, clusterName)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listLogs(state)
			}
			return printLog(state, args)
		},
	}
}

func listLogs(state layout.State) error {
	for _, pattern := range []string{state.Logs("*"), state.Node("*").Console(), state.Node("*").Logs("*")} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			fmt.Println(path)
		}
	}
	return nil
}

// printLog works on the files alone: a dead cluster's logs can be read too.
func printLog(state layout.State, args []string) error {
	path := state.Logs(args[0])
	if _, err := os.Stat(string(state.Node(args[0]))); err == nil {
		path = state.Node(args[0]).Logs("kubelet")
		if len(args) == 2 && args[1] == "console" {
			path = state.Node(args[0]).Console()
		} else if len(args) == 2 {
			path = state.Node(args[0]).Logs(args[1])
		}
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no log of %s: lab logs lists all", strings.Join(args, " "))
	}
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(os.Stdout, file)
	return err
}
