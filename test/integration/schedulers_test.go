//go:build integration

package integration

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/berth-dev/berth/test/controlplane"
	"github.com/berth-dev/berth/test/lab/toolchain"
)

// defaultScheduler is the schedulerName of the shipped profile.
const defaultScheduler = "berth-scheduler"

// stockScheduler is that of kube-scheduler.
const stockScheduler = "default-scheduler"

// scheduler is a running scheduler, ours or the stock one.
type scheduler struct{ *controlplane.Scheduler }

// kill is kill -9. It returns when the scheduler has ended.
func (s *scheduler) kill() { s.Kill() }

// buildScheduler builds cmd/scheduler.
func (e *environment) buildScheduler(t *testing.T) {
	t.Helper()
	e.programs["scheduler"] = filepath.Join(e.dir, "scheduler")
	if err := toolchain.Compile(t.Context(), repository, "./cmd/scheduler", e.programs["scheduler"]); err != nil {
		t.Fatal(err)
	}
}

// startScheduler runs our scheduler for pods with that schedulerName, with the configuration that is shipped. Of it
// are changed the way to the API server and the names.
func (e *environment) startScheduler(t *testing.T, name string) *scheduler {
	t.Helper()
	return e.startChanged(t, name, func(map[string]any) {})
}

// startReplica is startScheduler with times of leader election for those who wait for a change. Of replicas with the
// same name one leads.
func (e *environment) startReplica(t *testing.T, name string) *scheduler {
	t.Helper()
	return e.startChanged(t, name, func(election map[string]any) {
		election["leaseDuration"], election["renewDeadline"], election["retryPeriod"] = "4s", "3s", "500ms"
	})
}

func (e *environment) startChanged(t *testing.T, name string, change func(election map[string]any)) *scheduler {
	t.Helper()
	config, err := controlplane.ShippedConfig(repository)
	if err != nil {
		t.Fatal(err)
	}
	config["profiles"].([]any)[0].(map[string]any)["schedulerName"] = name
	election := config["leaderElection"].(map[string]any)
	election["resourceName"] = name
	change(election)
	return e.runScheduler(t, "scheduler", name, config)
}

// startStockScheduler runs kube-scheduler as it is, for pods of its name.
func (e *environment) startStockScheduler(t *testing.T) *scheduler {
	t.Helper()
	return e.runScheduler(t, "kube-scheduler", stockScheduler, map[string]any{
		"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
		"leaderElection": map[string]any{"leaderElect": false},
	})
}

func (e *environment) runScheduler(t *testing.T, program, name string, config map[string]any) *scheduler {
	t.Helper()
	s, err := e.plane.StartScheduler(t.Context(), name, e.programs[program], config, "--v=4")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Log(s.Tail())
		}
	})
	return &scheduler{s}
}

// get reads a page of the scheduler.
func (s *scheduler) get(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.Get(ctx, path)
}
