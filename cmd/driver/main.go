// Command driver is Berth's CSI driver: `driver node` on every node, `driver controller` once beside csi-provisioner
// and csi-resizer.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register"
)

// buildVersion is set by the linker (-X main.buildVersion=…).
var buildVersion string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run returns the exit code: 0 also when it was told to stop.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	command := newCommand()
	command.SetArgs(args)
	command.SetErr(stderr)
	defer logs.FlushLogs()
	if err := command.ExecuteContext(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "driver:", err)
		return 1
	}
	return 0
}

func newCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "driver",
		Short: "Berth's CSI driver: LVM volume groups of the nodes as PersistentVolumes",
		Long: `Berth's CSI driver gives the LVM volume groups of Kubernetes nodes to pods as PersistentVolumes.

Run "driver node" on every node and "driver controller" beside csi-provisioner and csi-resizer.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	configuration := logsapi.NewLoggingConfiguration()
	gates := featuregate.NewFeatureGate()
	if err := logsapi.AddFeatureGates(gates); err != nil {
		panic(fmt.Sprintf("a new feature gate refuses the gates of logging: %v", err))
	}
	logsapi.AddFlags(configuration, command.PersistentFlags())
	command.PersistentPreRunE = func(*cobra.Command, []string) error {
		logs.InitLogs()
		return logsapi.ValidateAndApply(configuration, gates)
	}
	command.AddCommand(newNodeCommand(), newControllerCommand())
	return command
}

// version is what the linker says, else what the Go build recorded of the module.
func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
