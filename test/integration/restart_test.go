//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	storagehelpers "k8s.io/component-helpers/storage/volume"
)

// burst is 50 pods of 1 GiB on nodes of 10, 20 and 30 GiB, for a scheduler of that name. It calls middle with 10 of
// them placed and 25 in every stage between that and being new, most with volumes that are being made; the rest come
// afterwards.
func (d *fakeDriver) burst(t *testing.T, name string, middle func()) {
	t.Helper()
	d.addClass(t, name, map[string]string{"deviceClass": name})
	for i, gib := range []int64{10, 20, 30} {
		d.addNode(t, fmt.Sprintf("%s-node-%d", name, i), gib)
	}
	release := func() {}
	for i := range burstPods {
		switch i {
		case 10:
			d.awaitPlaced(t, name+"-", 10, 20*time.Second)
			release = d.hold()
		case 35:
			middle()
			release()
		}
		d.addPodFor(t, name, fmt.Sprintf("%s-%d", name, i), name, "1Gi")
	}
}

const burstPods = 50

// assertAllPlaced waits for all pods of a burst.
func (d *fakeDriver) assertAllPlaced(t *testing.T, name string) {
	t.Helper()
	start := time.Now()
	nodes := d.awaitPlaced(t, name+"-", burstPods, time.Minute)
	t.Logf("all placed %v later: %v, %d volumes refused", time.Since(start).Round(time.Millisecond), perNode(nodes), d.refusals())
	if n := d.refusals(); n != 0 {
		t.Errorf("%d volumes refused, want 0", n)
	}
}

// The one scheduler is killed with 50 pods in every stage, and started again. What it had only in memory it had not
// promised to anybody.
func testKilledScheduler(t *testing.T, e *environment) {
	const name = "killed"
	d := newFakeDriver(t, e, name)
	s := e.startReplica(t, name)
	d.burst(t, name, s.kill)
	e.startReplica(t, name)
	d.assertAllPlaced(t, name)
}

// Of two replicas the leader is killed; the other takes over when the lease has run out.
func testLeaderChange(t *testing.T, e *environment) {
	const name = "replica"
	d := newFakeDriver(t, e, name)
	leader := e.startReplica(t, name)
	e.await(t, 10*time.Second, "the first replica leads", func(ctx context.Context) (bool, error) {
		lease, err := e.kube.CoordinationV1().Leases("berth-system").Get(ctx, name, metav1.GetOptions{})
		return err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "", nil
	})
	e.startReplica(t, name)
	d.burst(t, name, leader.kill)
	d.assertAllPlaced(t, name)
}

// Two schedulers place 35 pods each on nodes for 60. Each sees what the other has written and not what it has only
// decided: some are refused. Each of these is placed elsewhere or left waiting without a node; 60 run in the end.
func testTwoSchedulers(t *testing.T, e *environment) {
	const name, other, each, fit = "twice", "twice-other", 35, 60
	d := newFakeDriver(t, e, name)
	e.addClass(t, name, map[string]string{"deviceClass": name})
	for i, gib := range []int64{10, 20, 30} {
		d.addNode(t, fmt.Sprintf("twice-node-%d", i), gib)
	}
	e.startScheduler(t, name)
	e.startScheduler(t, other)
	var pods []*v1.Pod
	for i := range each {
		for _, scheduler := range []string{name, other} {
			pod := e.newPod(t, fmt.Sprintf("twice-%d-by-%s", i, scheduler), name, "1Gi")
			pod.Spec.SchedulerName = scheduler
			pods = append(pods, pod)
		}
	}
	start := time.Now()
	e.createAll(t, pods)
	nodes := e.awaitPlaced(t, "twice-", fit, time.Minute)
	t.Logf("%d of %d placed after %v: %v, %d volumes refused", fit, 2*each, time.Since(start).Round(time.Millisecond), perNode(nodes), d.refusals())
	// The nodes are full to the last byte, so nothing more can be placed; the rest must not be pinned.
	e.await(t, 20*time.Second, "no waiting claim has a node", func(ctx context.Context) (bool, error) {
		claims, err := e.kube.CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		pinned := 0
		for _, claim := range claims.Items {
			if d.ours(&claim) && claim.Spec.VolumeName == "" && claim.Annotations[storagehelpers.AnnSelectedNode] != "" {
				pinned++
			}
		}
		return pinned == 0, nil
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	for node, n := range d.nodes {
		if n.freeBytes() != 0 {
			t.Errorf("%s has %d bytes free, want 0", node, n.freeBytes())
		}
	}
}
