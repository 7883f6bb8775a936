//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Scheduler, controller and agents are killed again and again while pods come and go: all pods run in the end, and
// nothing is left (see namespace).
func TestKilledProcesses(t *testing.T) {
	ns := namespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	killed := make(chan int, 1)
	go func() { killed <- killInTurn(ctx) }()
	const pods = 12
	for i := range pods {
		createPod(t, ns, fmt.Sprintf("pod-%d", i), claim(shippedClass, "512Mi"))
		if i%4 == 3 {
			deleteClaimAndPod(t, ns, fmt.Sprintf("pod-%d", i))
		}
		time.Sleep(500 * time.Millisecond)
	}
	time.Sleep(10 * time.Second)
	cancel()
	t.Logf("%d processes killed", <-killed)
	for i := range pods {
		if i%4 != 3 {
			running(t, ns, fmt.Sprintf("pod-%d", i), 5*time.Minute)
		}
	}
}

// killInTurn kills Berth's programs on one node after the other and returns how many it met.
func killInTurn(ctx context.Context) int {
	killed := 0
	for i := 0; ctx.Err() == nil; i++ {
		killed += kill(ctx, nodes[i%len(nodes)], berthPrograms)
		select {
		case <-ctx.Done():
		case <-time.After(4 * time.Second):
		}
	}
	return killed
}

// berthPrograms are the command lines of Berth's programs, as patterns of the shell's.
const berthPrograms = `/usr/local/bin/driver\ *|/usr/local/bin/scheduler\ *`

// kill ends the processes of a node whose command lines match patterns of the shell's with SIGKILL, and returns how many
// there were.
func kill(ctx context.Context, node, patterns string) int {
	script := "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline) in " + patterns + ") kill -9 ${p#/proc/} && echo killed;; esac; done"
	out, _ := tryLab(ctx, "node", node, "--", "sh", "-c", script)
	return strings.Count(out, "killed")
}

// Pods that do not use Berth are placed by its scheduler all the same.
func TestPodWithoutVolumes(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	createPod(t, ns, "pod")
	running(t, ns, "pod", 3*time.Minute)
	if events, err := kube.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Scheduled"}); err != nil || len(events.Items) == 0 {
		t.Errorf("no event Scheduled: %v", err)
	}
}
