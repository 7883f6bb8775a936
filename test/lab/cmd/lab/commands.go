package main

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/berth-dev/berth/test/lab"
)

const longHelp = `lab runs real Kubernetes clusters on this machine: the control plane as processes, each node as a user-mode Linux
kernel with containerd, a kubelet and LVM volume groups. It needs root, and no virtualization.

  lab up                                  three nodes with volume groups of 20, 12 and 8 GiB
  lab kubectl get nodes
  lab node node1 -- lvs                   run a command on a node
  lab power-cut node2; lab start node2    lose what was not written to disk
  lab down

All of a cluster runs in namespaces of its own and ends with one process. Its files are in
$XDG_STATE_HOME/berth/lab/NAME ($BERTH_LAB_STATE/NAME), what it is built from in $XDG_CACHE_HOME/berth.`

// name is the cluster that a command is about.
var clusterName string

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "lab", Short: "Real Kubernetes clusters on one machine", Long: longHelp,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVar(&clusterName, "name", defaultName(), "cluster, for several at a time ($BERTH_LAB_NAME)")
	root.AddCommand(upCommand(), downCommand(), statusCommand(), kubectlCommand(), execCommand(), nodeCommand(),
		powerCutCommand(), startCommand(), logsCommand(), loadImageCommand(), controlPlaneCommand(), etcdCommand())
	return root
}

func defaultName() string {
	if name := os.Getenv("BERTH_LAB_NAME"); name != "" {
		return name
	}
	return "lab"
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "End the cluster and remove its files", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return lab.Down(clusterName) },
	}
}

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use: "kubectl ARGS...", Short: "Run kubectl as the cluster's administrator",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, args := takeName(args)
			return runInside(cmd.Context(), name, "kubectl", args)
		},
	}
}

// takeName reads a leading --name: all other flags are kubectl's.
func takeName(args []string) (name string, rest []string) {
	if len(args) >= 2 && args[0] == "--name" {
		return args[1], args[2:]
	}
	return clusterName, args
}

func execCommand() *cobra.Command {
	return &cobra.Command{
		Use: "exec -- COMMAND...", Short: "Run a command of this machine inside the cluster's network",
		Long: "exec runs a command of this machine inside the cluster's network, with KUBECONFIG set and kubectl on PATH.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInside(cmd.Context(), clusterName, args[0], args[1:])
		},
	}
}

func runInside(ctx context.Context, cluster, program string, args []string) error {
	c, err := lab.Open(cluster)
	if err != nil {
		return err
	}
	if program == "kubectl" {
		program = c.Config().Program("kubectl")
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Ctrl-C reaches the command by itself; what it then does decides the exit code.
	err = c.Run(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitCode(max(exit.ExitCode(), 1))
	}
	return err
}

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show clusters, components and nodes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return printStatus(cmd.Context(), os.Stdout) },
	}
}
