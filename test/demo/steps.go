package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Sizes of the three volume groups. Six members of 2 GiB, shared out in proportion to what is free, end up as 3, 2 and 1.
var volumeGroups = []string{"node1=berth:20Gi", "node2=berth:12Gi", "node3=berth:8Gi"}

const members = 6

func (d *demo) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		d.up, d.statefulSet, d.orderGrowth, d.operatorsView, d.dataSurvives, d.rawBlock, d.tooLarge, d.snapshotAndRestore, d.usageMetrics,
		d.growth, d.farewell,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// up brings up the cluster, or takes the one that is there, and removes what an earlier demo made.
func (d *demo) up(ctx context.Context) error {
	d.title("A cluster of three nodes, each with a volume group of its own size")
	args := []string{"up", "--nodes", "3", "--manifests", d.manifests}
	for _, vg := range volumeGroups {
		args = append(args, "--vg", vg)
	}
	if err := d.stream(ctx, args...); err != nil {
		return err
	}
	// The namespace itself stays: its controller takes its time.
	if _, err := d.kubectl(ctx, "delete", "statefulsets,pods,pvc,volumesnapshots", "--all", "-n", namespace); err != nil {
		return err
	}
	if err := d.until(ctx, time.Minute, "volumes of an earlier demo to go", func() (bool, error) {
		out, err := d.kubectl(ctx, "get", "logicalvolumes", "-o", "name")
		return strings.TrimSpace(out) == "", err
	}); err != nil {
		return err
	}
	if err := d.until(ctx, time.Minute, "reports of all nodes", func() (bool, error) {
		out, err := d.kubectl(ctx, "get", "nodestorages", "-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		return strings.Count(out, "True") == len(nodeNames), err
	}); err != nil {
		return err
	}
	if err := d.bars(ctx); err != nil {
		return err
	}
	return d.show(ctx, "get", "nodestorages")
}

func (d *demo) statefulSet(ctx context.Context) error {
	d.title("A StatefulSet of %d members with 2 GiB each, placed by berth-scheduler", members)
	if err := d.apply(ctx, statefulSetYAML); err != nil {
		return err
	}
	start := time.Now()
	if err := d.until(ctx, 3*time.Minute, "members to run", func() (bool, error) {
		out, err := d.kubectl(ctx, "get", "statefulset", "db", "-n", namespace, "-o", "jsonpath={.status.readyReplicas}")
		return out == fmt.Sprint(members), err
	}); err != nil {
		return err
	}
	fmt.Printf("  all %d run after %.1f s\n", members, time.Since(start).Seconds())
	if err := d.until(ctx, 10*time.Second, "the report of the volumes", func() (bool, error) {
		out, err := d.kubectl(ctx, "get", "nodestorages", "-o", "jsonpath={.items[*].status.summary.volumes}")
		sum := 0
		for _, field := range strings.Fields(out) {
			var n int
			_, _ = fmt.Sscan(field, &n)
			sum += n
		}
		return sum == members, err
	}); err != nil {
		return err
	}
	return d.bars(ctx)
}

// operatorsView shows the same volumes as Kubernetes and as LVM see them.
func (d *demo) operatorsView(ctx context.Context) error {
	d.title("The same volumes, seen by Kubernetes and by LVM")
	for _, args := range [][]string{
		{"get", "pods", "-n", namespace, "-o", "custom-columns=POD:.metadata.name,NODE:.spec.nodeName,CLAIM:.spec.volumes[0].persistentVolumeClaim.claimName"},
		{"get", "pvc,pv", "-n", namespace},
		{"get", "logicalvolumes"},
	} {
		if err := d.show(ctx, args...); err != nil {
			return err
		}
	}
	for _, node := range nodeNames {
		fmt.Printf("%s# lvs\n", node)
		out, err := d.output(ctx, "", "node", node, "--", "lvs", "-o", "lv_name,vg_name,lv_size,lv_tags", volumeGroup)
		if err != nil {
			return err
		}
		fmt.Print(indent(out))
	}
	return nil
}

func (d *demo) dataSurvives(ctx context.Context) error {
	d.title("Data outlives its pod")
	const write = "echo written by the first db-0 at $(date -u +%T) > /data/note; sync"
	fmt.Printf("$ kubectl exec db-0 -- sh -c '%s'\n", write)
	if _, err := d.kubectl(ctx, "exec", "-n", namespace, "db-0", "--", "sh", "-c", write); err != nil {
		return err
	}
	// What the next two steps show starts while the pod comes back.
	if err := d.apply(ctx, rawBlockYAML+"\n---\n"+tooLargeYAML); err != nil {
		return err
	}
	if err := d.show(ctx, "delete", "pod", "db-0", "-n", namespace); err != nil {
		return err
	}
	if _, err := d.kubectl(ctx, "rollout", "status", "statefulset/db", "-n", namespace, "--timeout=60s"); err != nil {
		return err
	}
	return d.show(ctx, "exec", "-n", namespace, "db-0", "--", "cat", "/data/note")
}

func (d *demo) rawBlock(ctx context.Context) error {
	d.title("A raw block volume")
	if _, err := d.kubectl(ctx, "wait", "-n", namespace, "pod/raw", "--for=condition=Ready", "--timeout=60s"); err != nil {
		return err
	}
	return d.show(ctx, "exec", "-n", namespace, "raw", "--", "blockdev", "--getsize64", "/dev/disk")
}

func (d *demo) tooLarge(ctx context.Context) error {
	d.title("A claim larger than any node: the pod waits, and says why")
	var events []string
	if err := d.until(ctx, 30*time.Second, "an event that names the bytes", func() (bool, error) {
		out, err := d.kubectl(ctx, "describe", "pod", "huge", "-n", namespace)
		_, after, _ := strings.Cut(out, "\nEvents:")
		events = strings.Split(strings.Trim(after, "\n"), "\n")
		return strings.Contains(after, "wanted"), err
	}); err != nil {
		return err
	}
	if err := d.show(ctx, "get", "pod", "huge", "-n", namespace); err != nil {
		return err
	}
	fmt.Printf("$ kubectl describe pod huge -n %s\n  …\n  Events:\n%s\n", namespace, indent(strings.Join(events, "\n")))
	return nil
}

func (d *demo) usageMetrics(ctx context.Context) error {
	d.title("The kubelet's usage figures for one claim")
	node, err := d.kubectl(ctx, "get", "pod", "db-0", "-n", namespace, "-o", "jsonpath={.spec.nodeName}")
	if err != nil {
		return err
	}
	var lines []string
	if err := d.until(ctx, time.Minute, "the kubelet to measure the volume", func() (bool, error) {
		out, err := d.kubectl(ctx, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/metrics")
		lines = nil
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "kubelet_volume_stats_") && strings.Contains(line, `persistentvolumeclaim="data-db-0"`) {
				lines = append(lines, line)
			}
		}
		return len(lines) >= 3, err
	}); err != nil {
		return err
	}
	fmt.Printf("$ kubectl get --raw /api/v1/nodes/%s/proxy/metrics | grep kubelet_volume_stats_ | grep data-db-0\n%s", node, indent(strings.Join(lines, "")))
	return nil
}

func (d *demo) farewell(ctx context.Context) error {
	d.title("Where the bytes are now")
	if err := d.bars(ctx); err != nil {
		return err
	}
	d.title("The cluster is yours")
	fmt.Printf("  look around:  %[1]s --name %[2]s kubectl get pods -A\n  on a node:    %[1]s --name %[2]s node node1 -- lvs\n  remove it:    %[1]s --name %[2]s down\n", d.program(), d.name)
	return nil
}

// program is the lab's path as a user in the working directory would type it.
func (d *demo) program() string {
	if wd, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(wd, d.lab); err == nil {
			return short
		}
	}
	return d.lab
}
