// Command lab brings up, uses and removes Kubernetes clusters on one machine. See lab --help.
//
// The same program is the cluster's supervisor and, inside the nodes, their init.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/berth-dev/berth/test/lab"
	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/nodeos"
	"github.com/berth-dev/berth/test/lab/supervisor"
)

func main() {
	if nodeos.Main() {
		return
	}
	if len(os.Args) == 3 && os.Args[1] == lab.SuperviseArgument {
		if err := supervisor.Run(layout.State(os.Args[2])); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run())
}

// exitCode is the error of a command that ran elsewhere and did not end well; it has said why itself.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := rootCommand().ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "lab: interrupted")
		return 130
	}
	fmt.Fprintln(os.Stderr, "lab:", err)
	return 1
}
