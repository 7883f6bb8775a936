//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/berth-dev/berth/pkg/api/client"
)

// volumeGroup is the one the shipped configuration names.
const volumeGroup = "berth"

var (
	nodes = []string{"node1", "node2", "node3"}

	config *rest.Config
	kube   kubernetes.Interface
	berth  client.Interface
)

// labCommand is the lab's program and the name of the cluster under test.
var labCommand = []string{os.Getenv("BERTH_LAB"), "--name", os.Getenv("BERTH_LAB_NAME")}

func TestMain(m *testing.M) {
	if err := connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

func connect() (err error) {
	if labCommand[0] == "" || labCommand[2] == "" {
		return fmt.Errorf("BERTH_LAB and BERTH_LAB_NAME are not set; run it with make e2e")
	}
	if config, err = clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG")); err != nil {
		return err
	}
	// The tests watch and create in bursts; client-side throttling would be measured instead of the cluster.
	config.QPS, config.Burst = 200, 400
	if kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	berth, err = client.New(config)
	return err
}

// lab runs a verb of the lab and returns its standard output.
func lab(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryLab(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryLab(ctx context.Context, args ...string) (string, error) {
	command := append(append([]string{}, labCommand...), args...)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("lab %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// onNode runs a shell script on a node, as its operator would.
func onNode(t *testing.T, node, script string) string {
	t.Helper()
	return lab(t, "node", node, "--", "sh", "-c", script)
}

// logicalVolumes returns what LVM has in the volume group of a node, name by name with its size in bytes.
func logicalVolumes(t *testing.T, node string) map[string]string {
	t.Helper()
	found := map[string]string{}
	out := onNode(t, node, "lvs --noheadings --nosuffix --units b -o lv_name,lv_size "+volumeGroup)
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 2 {
			found[fields[0]] = fields[1]
		}
	}
	return found
}

// patience multiplies the limits of waiting: they are written for a machine of its own, and user-mode Linux was seen to be
// three times slower on another day.
const patience = 3

// eventually waits until check returns "" and fails with its last answer otherwise. It logs waits that a reader who
// looks for lost time wants to see.
func eventually(t *testing.T, limit time.Duration, check func() string) {
	t.Helper()
	start := time.Now()
	limit *= patience
	for {
		problem := check()
		waited := time.Since(start)
		if problem == "" {
			if waited > 5*time.Second {
				t.Logf("waited %s", waited.Round(time.Second))
			}
			return
		}
		if waited > limit {
			t.Fatalf("after %s: %s", limit, problem)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
