package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// demo runs the lab's verbs and prints what a person at a terminal would see.
type demo struct {
	lab       string
	name      string
	manifests string
	started   time.Time
}

// title opens a chapter of the output.
func (d *demo) title(format string, args ...any) {
	fmt.Printf("\n\033[1m── %s\033[0m  (%ds)\n", fmt.Sprintf(format, args...), int(time.Since(d.started).Seconds()))
}

// stream runs a verb of the lab with its output shown as it comes.
func (d *demo) stream(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, d.lab, append([]string{"--name", d.name}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// The lab cleans up after an interrupt itself; killing it at once would leave that to the next run.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("lab %s: %w", args[0], err)
	}
	return nil
}

// output runs a verb of the lab and returns what it printed.
func (d *demo) output(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.lab, append([]string{"--name", d.name}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("lab %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// kubectl runs kubectl and returns what it printed.
func (d *demo) kubectl(ctx context.Context, args ...string) (string, error) {
	return d.output(ctx, "", append([]string{"kubectl"}, args...)...)
}

// show prints a kubectl command line as a user would type it, and its output.
func (d *demo) show(ctx context.Context, args ...string) error {
	fmt.Printf("$ kubectl %s\n", strings.Join(args, " "))
	out, err := d.kubectl(ctx, args...)
	fmt.Print(indent(out))
	return err
}

// apply creates objects from YAML.
func (d *demo) apply(ctx context.Context, yaml string) error {
	_, err := d.output(ctx, yaml, "kubectl", "apply", "-f", "-")
	return err
}

// until repeats check twice a second until it returns true, an error, or the limit has passed.
func (d *demo) until(ctx context.Context, limit time.Duration, what string, check func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		done, err := check()
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, limit)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}
