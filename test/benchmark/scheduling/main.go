// Command scheduling measures how fast pods are placed, by our scheduler and by the upstream one, at thousands of nodes.
//
// A real etcd and a real API server hold Node objects without kubelets; a driver in this process (driver.go) does what
// csi-provisioner, the controller and all agents do, as fast as it can; the schedulers are processes with the same
// client limits and without leader election. Every run starts from a copy of the same etcd data, so that no run inherits
// another's objects, and each measure is a ratio of runs that alternate. All of it shares this machine's processors,
// so besides pods per second, in which the API server weighs most, the scheduler's own processor time is shown.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	repository      string
	nodes, pods     int
	rounds          int
	only            string
	growth          string
	growthPods      int
	capacityPods    int
	capacityLimit   time.Duration
	scheduler       string
	profiles        string
	profileDuration time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "scheduling:", err)
		os.Exit(1)
	}
}

// run is main: the tables go to out, what happens meanwhile to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o, out, progress)
	if err != nil {
		return err
	}
	defer b.close()
	for _, name := range strings.Split(o.only, ",") {
		measure, ok := measures[name]
		if !ok {
			return fmt.Errorf("no measure %q", name)
		}
		if err := measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("scheduling", flag.ContinueOnError)
	flags.StringVar(&o.repository, "repository", ".", "the checkout of Berth")
	flags.IntVar(&o.nodes, "nodes", 5000, "nodes of claims, plain and capacity")
	flags.IntVar(&o.pods, "pods", 5000, "pods of claims and plain")
	flags.IntVar(&o.rounds, "rounds", 2, "runs of each scheduler in claims and plain")
	flags.StringVar(&o.only, "only", "claims,capacity,plain,growth", "the measures, in this order")
	flags.StringVar(&o.growth, "growth", "500,1000,2500,5000", "node counts of growth")
	flags.IntVar(&o.growthPods, "growth-pods", 1000, "pods at each node count of growth")
	flags.IntVar(&o.capacityPods, "capacity-pods", 200, "pods of capacity")
	flags.DurationVar(&o.capacityLimit, "capacity-limit", 5*time.Minute, "upstream's time in capacity; it may not finish")
	flags.StringVar(&o.scheduler, "scheduler", "", "our scheduler's binary (default: built from the checkout)")
	flags.StringVar(&o.profiles, "profiles", "", "a directory for processor and heap profiles of each run's scheduler")
	flags.DurationVar(&o.profileDuration, "profile-duration", 20*time.Second, "how much of a run's begin is profiled")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.nodes < 1 || o.pods < 1 || o.rounds < 1 || o.growthPods < 1 || o.capacityPods < 1 {
		return o, fmt.Errorf("every count is at least 1")
	}
	return o, nil
}

// nodeCounts reads the flag growth.
func (o options) nodeCounts() ([]int, error) {
	var counts []int
	for _, text := range strings.Split(o.growth, ",") {
		count, err := strconv.Atoi(text)
		if err != nil || count < 1 {
			return nil, fmt.Errorf("growth: %q is no number of nodes", text)
		}
		counts = append(counts, count)
	}
	return counts, nil
}
