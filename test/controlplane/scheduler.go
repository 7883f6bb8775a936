package controlplane

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

// Scheduler is a running scheduler, ours or the stock one.
type Scheduler struct {
	*Process
	url    string
	client http.Client
}

// ShippedConfig reads the configuration that Berth ships for its scheduler, from a checkout.
func ShippedConfig(repository string) (map[string]any, error) {
	content, err := os.ReadFile(filepath.Join(repository, "manifests", "scheduler", "config.yaml"))
	if err != nil {
		return nil, err
	}
	var config map[string]any
	return config, yaml.Unmarshal(content, &config)
}

// StartScheduler runs a scheduler program with a KubeSchedulerConfiguration, in which the way to the API server is set
// and the rest of clientConnection stays, and waits until it has read the cluster. Several may have one name.
// Errors: a scheduler that ends or is not ready in time; the end of its log is part of the error.
func (c *ControlPlane) StartScheduler(ctx context.Context, name, program string, config map[string]any, flags ...string) (*Scheduler, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	name = fmt.Sprintf("%s-%d", name, ports[0])
	path, err := c.writeSchedulerConfig(name, config)
	if err != nil {
		return nil, err
	}
	s := &Scheduler{url: loopback("https", ports[0]), client: http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	s.Process, err = Run(c.dir, name, program, append(flags,
		"--config="+path, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]),
		"--cert-dir="+filepath.Join(c.dir, name+"-certificates"), "--authentication-skip-lookup",
		"--authorization-always-allow-paths=/healthz,/readyz,/metrics,/debug/pprof/*")...)
	if err != nil {
		return nil, err
	}
	err = s.await(ctx, time.Minute, "ready", func(ctx context.Context) error {
		_, err := s.Get(ctx, "/readyz")
		return err
	})
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, s.Tail())
		s.Kill()
		return nil, err
	}
	return s, nil
}

func (c *ControlPlane) writeSchedulerConfig(name string, config map[string]any) (string, error) {
	kubeconfig, err := c.WriteKubeconfig()
	if err != nil {
		return "", err
	}
	connection, _ := config["clientConnection"].(map[string]any)
	if connection == nil {
		connection = map[string]any{}
		config["clientConnection"] = connection
	}
	connection["kubeconfig"] = kubeconfig
	content, err := yaml.Marshal(config)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, name+".yaml")
	return path, os.WriteFile(path, content, 0o600)
}

// Get reads a page of the scheduler.
func (s *Scheduler) Get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return "", err
	}
	response, err := s.client.Do(request)
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
