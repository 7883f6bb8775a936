// Command demo shows what Berth does on a real little cluster: three nodes with volume groups of unequal size.
// It brings the cluster up with the lab, applies the shipped manifests, and leaves the cluster running.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	labPath := flag.String("lab", "", "path of the lab's program")
	name := flag.String("name", "demo", "name of the lab cluster")
	manifests := flag.String("manifests", "manifests", "directory of Berth's manifests")
	flag.Parse()
	if *labPath == "" {
		fmt.Fprintln(os.Stderr, "demo: -lab is not set; run it with make demo")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{lab: *labPath, name: *name, manifests: *manifests, started: time.Now()}
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}
