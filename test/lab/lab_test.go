//go:build lab

package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/berth-dev/berth/test/lab"
	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/nodeexec"
	"github.com/berth-dev/berth/test/lab/supervisor"
)

// upCluster makes a cluster of one node that ends with the test.
func upCluster(t *testing.T) *lab.Cluster {
	t.Helper()
	config := layout.DefaultConfig(fmt.Sprintf("test-%d", os.Getpid()))
	var err error
	config.Nodes, err = layout.NewNodes(1, []string{"node1=data:64Mi+32Mi"}, []string{"node1=16Mi"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := lab.Up(t.Context(), lab.Options{Config: config, Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if output, err := exec.Command("pgrep", "-f", c.State().Dir()).Output(); err == nil {
			t.Errorf("processes are left: %s", output)
		}
	})
	return c
}

func TestCluster(t *testing.T) {
	c := upCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	node := func(script string) string {
		t.Helper()
		output, err := c.Node(ctx, "node1", "sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(output)
	}

	t.Run("disks are as asked for", func(t *testing.T) {
		// Each physical volume loses its first MiB and the rest of an extent: 60 and 28 MiB.
		if got := node("vgs --noheadings --nosuffix --units m -o vg_name,pv_count,vg_size"); strings.Join(strings.Fields(got), " ") != "data 2 88.00" {
			t.Errorf("volume groups %q", got)
		}
		if got := node("blkid -p /dev/ubdd; blockdev --getsize64 /dev/ubdd"); got != fmt.Sprint(16<<20) {
			t.Errorf("spare disk %q, want no signature and 16 MiB", got)
		}
	})

	t.Run("a power cut loses what was not synced", func(t *testing.T) {
		node("lvcreate -qq -y -n v -L 32M data && mkfs.ext4 -q /dev/data/v && mount /dev/data/v /srv && echo x > /srv/synced && sync && echo x > /srv/lost")
		if err := c.PowerCut(ctx, "node1"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Node(ctx, "node1", "true"); err == nil {
			t.Error("a node without power answers")
		}
		if err := c.StartNode(ctx, "node1"); err != nil {
			t.Fatal(err)
		}
		if err := c.StartNode(ctx, "node1"); err == nil || !strings.Contains(err.Error(), supervisor.ErrRunning.Error()) {
			t.Errorf("starting a running node: %v", err)
		}
		if err := c.WaitNodeStarted(ctx, t.Logf, "node1"); err != nil {
			t.Fatal(err)
		}
		if got := node("mount /dev/data/v /srv && ls /srv"); got != "lost+found\nsynced" {
			t.Errorf("files after the power cut: %q", got)
		}
	})

	t.Run("commands end with their caller", func(t *testing.T) {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := c.NodeExec(short, "node1", nodeexec.Streams{}, nil, "sleep", "1234")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if got := node("sleep 1; pgrep -fx 'sleep 1234' || echo none"); got != "none" {
			t.Errorf("still running: %s", got)
		}
	})

	t.Run("files of the host are seen as they are", func(t *testing.T) {
		path := t.TempDir() + "/script"
		for _, text := range []string{"one", "another"} {
			if err := os.WriteFile(path+".new", []byte("echo "+text+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Node(ctx, "node1", "sh", path); err != nil || got != text+"\n" {
				t.Errorf("got %q, %v, want %q", got, err, text)
			}
		}
	})

	t.Run("etcd goes back to a copy", func(t *testing.T) {
		if err := c.SnapshotEtcd(ctx, "before"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Kubectl(ctx, "create", "namespace", "later"); err != nil {
			t.Fatal(err)
		}
		if err := c.RestoreEtcd(ctx, "before"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Kubectl(ctx, "get", "namespace", "later"); err == nil || !strings.Contains(err.Error(), "NotFound") {
			t.Errorf("the namespace after the restore: %v", err)
		}
	})

	t.Run("programs run in the cluster's network", func(t *testing.T) {
		cmd := exec.CommandContext(ctx, "sh", "-c", "kubectl get --raw /readyz && ip -o addr show "+layout.BridgeName)
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		if err := c.Run(cmd); err != nil || !strings.HasPrefix(output.String(), "ok") || !strings.Contains(output.String(), layout.APIServiceAddress) {
			t.Errorf("error %v, output %q", err, output.String())
		}
		if err := exec.CommandContext(ctx, "ip", "link", "show", layout.BridgeName).Run(); err == nil {
			t.Error("the bridge is in the host's network")
		}
	})
}
