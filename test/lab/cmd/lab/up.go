package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-dev/berth/test/lab"
	"github.com/berth-dev/berth/test/lab/layout"
)

// defaultGroups make three nodes unequal, so that placement by free bytes can be seen.
var defaultGroups = []string{"node1=berth:20Gi", "node2=berth:12Gi", "node3=berth:8Gi"}

func upCommand() *cobra.Command {
	var (
		nodes          int
		groups, spares []string
		options        lab.Options
		defaults       = layout.DefaultConfig("")
		config         = &options.Config
	)
	*config = defaults
	cmd := &cobra.Command{
		Use: "up", Short: "Make a cluster, or bring a running one up to date", Args: cobra.NoArgs,
		Example: `  lab up --nodes 2 --vg '*=berth:10Gi' --vg node1=fast:1Gi+1Gi --spare node2=5Gi`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(groups) == 0 && nodes == len(defaultGroups) {
				groups = defaultGroups
			}
			var err error
			if config.Nodes, err = layout.NewNodes(nodes, groups, spares); err != nil {
				return err
			}
			config.Name = clusterName
			options.Detach, options.Progress = true, lab.NewProgress(os.Stderr)
			if _, err = lab.Up(cmd.Context(), options); errors.Is(err, lab.ErrDifferent) {
				return err
			}
			if err == nil {
				options.Progress("cluster %s is up; use it with lab kubectl, remove it with lab down", clusterName)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&nodes, "nodes", 3, "number of nodes: node1, node2 and so on")
	flags.StringArrayVar(&groups, "vg", nil, "volume group NODE=GROUP:SIZE[+SIZE...], one disk per size; NODE may be '*'")
	flags.StringArrayVar(&spares, "spare", nil, "empty disks NODE=SIZE[+SIZE...]")
	flags.IntVar(&config.MemoryMiB, "memory", defaults.MemoryMiB, "memory of each node in MiB, used as needed")
	flags.DurationVar(&config.NodeMonitorGrace, "node-monitor-grace", defaults.NodeMonitorGrace, "silence after which a node is lost")
	flags.DurationVar(&config.EvictionDelay, "eviction-delay", defaults.EvictionDelay, "time until pods leave a lost node")
	flags.DurationVar(&config.VolumeStatsPeriod, "volume-stats-period", defaults.VolumeStatsPeriod, "how often kubelets measure volumes")
	flags.IntVar(&config.LogVerbosity, "v", defaults.LogVerbosity, "log verbosity of Kubernetes")
	flags.BoolVar(&config.StorageSuite, "storage-suite", false, "also build Kubernetes' storage suite and load the images that it asks for")
	flags.StringArrayVar(&options.Manifests, "manifests", nil, "kustomize directory to apply when the nodes are Ready; may be given several times")
	flags.StringVar(&options.Repo, "repo", "", "checkout of the project (default: the one around the working directory)")
	return cmd
}
