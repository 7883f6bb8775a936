package main

import (
	"context"
	"fmt"
	"time"
)

// The schedulers. What the CSIDriver object says of storageCapacity is for the upstream ones to obey; ours meets it as it
// is shipped.
var (
	ours           = system{name: "berth-scheduler", ours: true}
	unchecked      = system{name: "kube-scheduler, no capacity check"}
	withCapacities = system{name: "kube-scheduler, CSIStorageCapacity", storageCapacity: true}
)

// runLimit is for runs that are expected to end.
const runLimit = 8 * time.Minute

var measures = map[string]func(context.Context, *bench) error{
	"claims": func(ctx context.Context, b *bench) error {
		return b.compare(ctx, "Pods with one claim each", 0.95, true)
	},
	"plain": func(ctx context.Context, b *bench) error {
		return b.compare(ctx, "Pods without claims", 0.98, false)
	},
	"capacity": measureCapacity,
	"growth":   measureGrowth,
}

// compare runs ours and the unchecked upstream by turns and prints the ratio of their throughputs over all rounds.
func (b *bench) compare(ctx context.Context, title string, aim float64, claims bool) error {
	b.title("%s: %d nodes, %d pods", title, b.nodes, b.pods)
	var mine, theirs []result
	b.header()
	for round := range b.rounds {
		// A B B A: what drifts during the runs falls on both.
		order := []system{ours, unchecked}
		if round%2 == 1 {
			order = []system{unchecked, ours}
		}
		for _, s := range order {
			r, err := b.run(ctx, trial{system: s, nodes: b.nodes, pods: b.pods, claims: claims, limit: runLimit})
			if err != nil {
				return err
			}
			b.row(r)
			if s.ours {
				mine = append(mine, r)
			} else {
				theirs = append(theirs, r)
			}
		}
	}
	m, t := total(mine), total(theirs)
	b.printf("\nthroughput ours ÷ upstream: **%.2f** (aim ≥ %.2f); processor time %.2f; live heap %+.0f MB, peak memory %+.0f MB\n",
		m.perSecond()/t.perSecond(), aim, m.cpu.Seconds()/t.cpu.Seconds(),
		megabytes(m.heapBytes-t.heapBytes), megabytes(m.peakBytes-t.peakBytes))
	return nil
}

// measureCapacity compares with the upstream check of capacity, which may be too slow to finish.
func measureCapacity(ctx context.Context, b *bench) error {
	b.title("Pods with one claim each, CSIStorageCapacity: %d nodes with an object each, %d pods", b.nodes, b.capacityPods)
	b.header()
	var results []result
	for _, s := range []system{ours, withCapacities} {
		r, err := b.run(ctx, trial{system: s, nodes: b.nodes, pods: b.capacityPods, claims: true, limit: b.capacityLimit, mayEndEarly: !s.ours})
		if err != nil {
			return err
		}
		b.row(r)
		results = append(results, r)
	}
	note := ""
	if r := results[1]; r.placed < r.pods {
		note = fmt.Sprintf("; upstream was stopped with %d of %d pods placed, its throughput is that of these", r.placed, r.pods)
	}
	b.printf("\nthroughput ours ÷ upstream: **%.1f** (aim ≥ 10); processor time per pod %.2f%s\n",
		results[0].perSecond()/results[1].perSecond(), results[0].cpuPerPod().Seconds()/results[1].cpuPerPod().Seconds(), note)
	return nil
}

// measureGrowth runs ours at several node counts.
func measureGrowth(ctx context.Context, b *bench) error {
	counts, err := b.nodeCounts()
	if err != nil {
		return err
	}
	b.title("Growth: %d pods with one claim each", b.growthPods)
	b.printf("| nodes | pods/s | processor time per pod | scheduling cycle, mean | live heap |\n|--:|--:|--:|--:|--:|\n")
	for _, nodes := range counts {
		r, err := b.run(ctx, trial{system: ours, nodes: nodes, pods: b.growthPods, claims: true, limit: runLimit})
		if err != nil {
			return err
		}
		b.printf("| %d | %.0f | %s | %s | %.0f MB |\n", nodes, r.perSecond(), rounded(r.cpuPerPod()), rounded(r.cycle), megabytes(r.heapBytes))
	}
	return nil
}
