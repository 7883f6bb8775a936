package lab

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

// Namespace is where the project's own workloads run.
const Namespace = "berth-system"

// rolloutLimit bounds the wait for each of the project's workloads.
const rolloutLimit = 10 * time.Minute

// Apply applies kustomize directories in order, unchanged, and waits until the project's workloads are ready. When
// they do not get there the error holds their events and logs.
func (c *Cluster) Apply(ctx context.Context, progress Progress, dirs ...string) error {
	if len(dirs) == 0 {
		return nil
	}
	for _, dir := range dirs {
		progress("applying %s", dir)
		if err := c.applyOne(ctx, dir); err != nil {
			return err
		}
	}
	return c.waitProduct(ctx, progress)
}

// applyLimit bounds the time until the API server serves resources whose definitions were just applied.
const applyLimit = 20 * time.Second

// applyOne applies a directory, again while it holds objects of a kind whose definition it brings itself.
func (c *Cluster) applyOne(ctx context.Context, dir string) error {
	for deadline := time.Now().Add(applyLimit); ; {
		_, err := c.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", dir)
		if err == nil {
			return nil
		}
		if !strings.Contains(err.Error(), "no matches for kind") || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// workloads returns the project's workloads as kubectl names them.
func (c *Cluster) workloads(ctx context.Context) ([]string, error) {
	output, err := c.Kubectl(ctx, "--namespace", Namespace, "get", "deployments,daemonsets", "--output", "name")
	return strings.Fields(output), err
}

func (c *Cluster) waitProduct(ctx context.Context, progress Progress) error {
	names, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, err := c.Kubectl(ctx, "--namespace", Namespace, "rollout", "status", "--timeout", rolloutLimit.String(), name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, c.diagnose(ctx))
		}
		progress("%s is ready", name)
	}
	return nil
}

// restartProduct starts the project's pods again, with images that have changed under an unchanged name.
func (c *Cluster) restartProduct(ctx context.Context, progress Progress) error {
	names, err := c.workloads(ctx)
	if err != nil {
		return err
	}
	progress("restarting %s", strings.Join(names, ", "))
	if _, err := c.Kubectl(ctx, append([]string{"--namespace", Namespace, "rollout", "restart"}, names...)...); err != nil {
		return err
	}
	return c.waitProduct(ctx, progress)
}

// diagnose collects what a person would look at first. What cannot be had is left out.
func (c *Cluster) diagnose(ctx context.Context) string {
	var out bytes.Buffer
	for _, args := range [][]string{
		{"get", "pods", "--output", "wide"},
		{"get", "events", "--sort-by", ".lastTimestamp"},
	} {
		if text, err := c.Kubectl(ctx, append([]string{"--namespace", Namespace}, args...)...); err == nil {
			out.WriteString(text + "\n")
		}
	}
	pods, err := c.Kubectl(ctx, "--namespace", Namespace, "get", "pods", "--output", "name")
	if err != nil {
		return out.String()
	}
	for _, pod := range strings.Fields(pods) {
		text, err := c.Kubectl(ctx, "--namespace", Namespace, "logs", pod, "--all-containers", "--prefix", "--tail", "20")
		if err == nil {
			out.WriteString(text)
		}
	}
	return out.String()
}
