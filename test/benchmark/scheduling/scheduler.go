package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/berth-dev/berth/test/controlplane"
)

// clientQueries replaces the default limits of 50 and 100 queries a second, which would be what is measured.
const clientQueries = 5000

// scheduler is the process under test.
type scheduler struct{ *controlplane.Scheduler }

// startScheduler runs a scheduler for the pods of schedulerName, ours with the configuration that is shipped, the
// upstream one with its defaults.
func (b *bench) startScheduler(ctx context.Context, c *cluster, t trial) (*scheduler, error) {
	program := "kube-scheduler"
	config := map[string]any{
		"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
		"profiles": []any{map[string]any{"schedulerName": schedulerName}},
	}
	if t.ours {
		program = "scheduler"
		var err error
		if config, err = controlplane.ShippedConfig(b.repository); err != nil {
			return nil, err
		}
	}
	config["leaderElection"] = map[string]any{"leaderElect": false}
	config["clientConnection"] = map[string]any{"qps": clientQueries, "burst": clientQueries}
	s, err := c.StartScheduler(ctx, "scheduler", b.programs[program], config, "--v=2")
	if err != nil {
		return nil, err
	}
	return &scheduler{s}, nil
}

// usage is what the process has used since it began.
type usage struct {
	cpu time.Duration
	// cycles took cycleTime altogether.
	cycles    uint64
	cycleTime time.Duration
	peakBytes int64
}

func (u usage) cycleSince(before usage) time.Duration {
	if u.cycles == before.cycles {
		return 0
	}
	return (u.cycleTime - before.cycleTime) / time.Duration(u.cycles-before.cycles)
}

func (s *scheduler) usage(ctx context.Context) (usage, error) {
	cpu, err1 := processorTime(s.PID())
	peak, err2 := peakBytes(s.PID())
	page, err3 := s.Get(ctx, "/metrics")
	const cycle = "scheduler_scheduling_algorithm_duration_seconds"
	count, err4 := sample(page, cycle+"_count")
	sum, err5 := sample(page, cycle+"_sum")
	return usage{
		cpu: cpu, peakBytes: peak, cycles: uint64(count), cycleTime: time.Duration(sum * float64(time.Second)),
	}, errors.Join(err1, err2, err3, err4, err5)
}

// sample reads a metric that has no labels.
func sample(page, name string) (float64, error) {
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the scheduler's metrics lack %s", name)
}

// liveHeap has the scheduler collect its garbage and returns what is left.
func (s *scheduler) liveHeap(ctx context.Context) (int64, error) {
	if _, err := s.Get(ctx, "/debug/pprof/heap?gc=1"); err != nil {
		return 0, err
	}
	page, err := s.Get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	live, err := sample(page, "go_memstats_heap_alloc_bytes")
	return int64(live), err
}

// profile writes a processor profile of the run's begin and then one of the heap, where asked for.
func (b *bench) profile(ctx context.Context, s *scheduler, t trial) <-chan error {
	done := make(chan error, 1)
	if b.profiles == "" {
		done <- nil
		return done
	}
	base := filepath.Join(b.profiles, fmt.Sprintf("%02d-%s", b.runs, strings.Map(fileRune, t.name)))
	go func() {
		done <- errors.Join(
			s.save(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(b.profileDuration.Seconds())), base+".cpu.pprof"),
			s.save(ctx, "/debug/pprof/heap?gc=1", base+".heap.pprof"))
	}()
	return done
}

func fileRune(r rune) rune {
	if r == ' ' || r == ',' {
		return '-'
	}
	return r
}

func (s *scheduler) save(ctx context.Context, page, path string) error {
	content, err := s.Get(ctx, page)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// clockTick is the unit of times in /proc: Linux shows 100 to the second on every architecture Go supports.
const clockTick = time.Second / 100

// processorTime is a process's time in user and kernel mode (proc_pid_stat(5), utime and stime).
func processorTime(pid int) (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in brackets may hold anything; state, the third field, follows the last bracket.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}

// peakBytes is the highest resident memory of a process (proc_pid_status(5), VmHWM).
func peakBytes(pid int) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmHWM", pid)
}
