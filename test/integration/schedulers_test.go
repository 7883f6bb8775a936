//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/berth-dev/berth/test/lab/toolchain"
)

// defaultScheduler is the schedulerName of the shipped profile.
const defaultScheduler = "berth-scheduler"

// stockScheduler is that of kube-scheduler.
const stockScheduler = "default-scheduler"

// scheduler is a running scheduler, ours or the stock one.
type scheduler struct {
	*process
	url string
}

// buildScheduler builds cmd/scheduler.
func (e *environment) buildScheduler(t *testing.T) {
	t.Helper()
	e.programs["scheduler"] = filepath.Join(e.dir, "scheduler")
	if err := toolchain.Compile(t.Context(), repository, "./cmd/scheduler", e.programs["scheduler"]); err != nil {
		t.Fatal(err)
	}
}

// startScheduler runs our scheduler for pods with that schedulerName, with the configuration that is shipped. Of it
// are changed the way to the API server, the names, and the times of leader election, which a test has not got.
// Replicas have the same name: one of them leads.
func (e *environment) startScheduler(t *testing.T, name string) *scheduler {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, "manifests", "scheduler", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	config["clientConnection"] = map[string]any{"kubeconfig": e.writeKubeconfig(t)}
	config["profiles"].([]any)[0].(map[string]any)["schedulerName"] = name
	election := config["leaderElection"].(map[string]any)
	election["resourceName"] = name
	election["leaseDuration"], election["renewDeadline"], election["retryPeriod"] = "3s", "2s", "500ms"
	if content, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	return e.runScheduler(t, "scheduler", name, "--config="+e.write(t, name+".yaml", content))
}

// startStockScheduler runs kube-scheduler as it is, for pods that name stockScheduler.
func (e *environment) startStockScheduler(t *testing.T) *scheduler {
	t.Helper()
	return e.runScheduler(t, "kube-scheduler", stockScheduler, "--kubeconfig="+e.writeKubeconfig(t), "--leader-elect=false")
}

func (e *environment) runScheduler(t *testing.T, program, name string, args ...string) *scheduler {
	t.Helper()
	port := freePort(t)
	s := &scheduler{url: fmt.Sprintf("https://127.0.0.1:%d", port)}
	s.process = run(t, e.dir, fmt.Sprintf("%s-%d", name, port), e.programs[program], append(args,
		"--v=4", "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir="+filepath.Join(e.dir, fmt.Sprintf("certificates-%d", port)),
		"--authentication-skip-lookup", "--authorization-always-allow-paths=/healthz,/metrics")...)
	e.await(t, time.Minute, name+" healthy", func(context.Context) (bool, error) {
		_, err := s.get("/healthz")
		return err == nil, nil
	})
	return s
}

// get reads a page of the scheduler.
func (s *scheduler) get(path string) (string, error) {
	httpClient := http.Client{Transport: insecureTransport(), Timeout: 5 * time.Second}
	response, err := httpClient.Get(s.url + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return string(body), err
}
