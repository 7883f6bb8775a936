package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-dev/berth/test/lab"
	"github.com/berth-dev/berth/test/lab/nodeexec"
)

func nodeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "node NODE [-- COMMAND...]", Short: "Run a command on a node, or a shell",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := lab.Open(clusterName)
			if err != nil {
				return err
			}
			code, err := runOnNode(cmd.Context(), c, args[0], args[1:])
			if err == nil && code != 0 {
				return exitCode(code)
			}
			return err
		},
	}
}

// runOnNode gives a shell a terminal when this process has one; commands never get one, so that their output is the
// same in a script.
func runOnNode(ctx context.Context, c *lab.Cluster, node string, args []string) (int, error) {
	streams := nodeexec.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if len(args) > 0 {
		return c.NodeExec(ctx, node, streams, nil, args...)
	}
	size, restore, err := nodeexec.Raw(os.Stdin)
	if err != nil {
		return c.NodeExec(ctx, node, streams, nil, "bash")
	}
	defer restore()
	return c.NodeExec(ctx, node, streams, &size, "bash")
}

func powerCutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "power-cut NODE", Short: "End a node without notice; its disks stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := lab.Open(clusterName)
			if err != nil {
				return err
			}
			return c.PowerCut(cmd.Context(), args[0])
		},
	}
}

func startCommand() *cobra.Command {
	return &cobra.Command{
		Use: "start NODE", Short: "Start a node again and wait until it is Ready", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := lab.Open(clusterName)
			if err != nil {
				return err
			}
			if err := c.StartNode(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.WaitNodeStarted(cmd.Context(), lab.NewProgress(os.Stderr), args[0])
		},
	}
}

func loadImageCommand() *cobra.Command {
	return &cobra.Command{
		Use: "load-image ARCHIVE", Short: "Import a docker or OCI image archive on every node", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := lab.Open(clusterName)
			if err != nil {
				return err
			}
			return c.LoadImage(cmd.Context(), lab.NewProgress(os.Stderr), args[0])
		},
	}
}
