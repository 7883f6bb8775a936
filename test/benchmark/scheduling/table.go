package main

import (
	"fmt"
	"slices"
	"time"
)

func (b *bench) printf(format string, args ...any) { fmt.Fprintf(b.out, format, args...) }

func (b *bench) title(format string, args ...any) { b.printf("\n### "+format+"\n\n", args...) }

// progressf tells what is going on, with the time passed.
func (b *bench) progressf(format string, args ...any) {
	fmt.Fprintf(b.progress, "%8s  %s\n", time.Since(b.started).Round(100*time.Millisecond), fmt.Sprintf(format, args...))
}

func (b *bench) header() {
	b.printf("| scheduler | pods | time | pods/s | processor time | scheduling cycle, mean | claim to pod bound p50, p99 | live heap | peak memory |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
}

func (b *bench) row(r result) {
	latency := "–"
	if len(r.claimToPod) > 0 {
		latency = fmt.Sprintf("%s, %s", rounded(percentile(r.claimToPod, 50)), rounded(percentile(r.claimToPod, 99)))
	}
	b.printf("| %s | %d | %.1f s | %.1f | %.1f s | %s | %s | %.0f MB | %.0f MB |\n", r.system.name, r.placed, r.elapsed.Seconds(),
		r.perSecond(), r.cpu.Seconds(), rounded(r.cycle), latency, megabytes(r.heapBytes), megabytes(r.peakBytes))
}

// result is what a run came to.
type result struct {
	trial
	// placed pods in elapsed, from the first pod's creation to the last one's binding, or to the limit.
	placed  int
	elapsed time.Duration
	// cpu is the scheduler's processor time in elapsed, cycle its own account of a pod's mean time from PreFilter to the
	// chosen node.
	cpu, cycle time.Duration
	// heapBytes is the scheduler's live heap after a collection at the end, peakBytes its highest resident memory.
	heapBytes, peakBytes int64
	// claimToPod is how long after its claim each pod was bound.
	claimToPod []time.Duration
}

func (r result) perSecond() float64       { return float64(r.placed) / r.elapsed.Seconds() }
func (r result) cpuPerPod() time.Duration { return r.cpu / time.Duration(max(r.placed, 1)) }

// total adds up runs of one scheduler; memory is the mean.
func total(results []result) result {
	var sum result
	for _, r := range results {
		sum.placed += r.placed
		sum.elapsed += r.elapsed
		sum.cpu += r.cpu
		sum.heapBytes += r.heapBytes / int64(len(results))
		sum.peakBytes += r.peakBytes / int64(len(results))
	}
	return sum
}

// percentile is the smallest time that p of 100 do not exceed.
func percentile(times []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)*p+99)/100-1]
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// rounded keeps three digits.
func rounded(d time.Duration) time.Duration {
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
