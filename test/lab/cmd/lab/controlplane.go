package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-dev/berth/test/lab"
)

func controlPlaneCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "control-plane", Short: "Stop or start the control plane, or one component of it"}
	add := func(use, short string, all func(*lab.Cluster, context.Context) error, one func(*lab.Cluster, context.Context, string) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use + " [COMPONENT]", Short: short, Args: cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := lab.Open(clusterName)
				if err != nil {
					return err
				}
				if len(args) == 1 {
					return told(use+" "+args[0], func() error { return one(c, cmd.Context(), args[0]) })
				}
				return told(use+" the control plane", func() error { return all(c, cmd.Context()) })
			},
		})
	}
	add("stop", "Stop it", (*lab.Cluster).StopControlPlane, (*lab.Cluster).StopComponent)
	add("start", "Start it", (*lab.Cluster).StartControlPlane, (*lab.Cluster).StartComponent)
	return cmd
}

func etcdCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "etcd", Short: "Save and restore the cluster's objects"}
	add := func(use, short string, do func(*lab.Cluster, context.Context, string) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := lab.Open(clusterName)
				if err != nil {
					return err
				}
				return told(use+" etcd's data; the control plane is away meanwhile", func() error { return do(c, cmd.Context(), args[0]) })
			},
		})
	}
	add("snapshot", "Copy etcd's data", (*lab.Cluster).SnapshotEtcd)
	add("restore", "Put a copy back", (*lab.Cluster).RestoreEtcd)
	return cmd
}

// told says what is being done and how long it took.
func told(what string, do func() error) error {
	progress := lab.NewProgress(os.Stderr)
	progress("%s", what)
	err := do()
	if err == nil {
		progress("done")
	}
	return err
}
