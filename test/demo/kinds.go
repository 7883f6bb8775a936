package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// snapshotAndRestore takes a snapshot of a thin volume in use and restores it to a larger one.
func (d *demo) snapshotAndRestore(ctx context.Context) error {
	d.title("A thin volume, its snapshot, and a larger volume restored from it")
	if err := d.apply(ctx, thinYAML); err != nil {
		return err
	}
	if err := d.podRuns(ctx, "notes"); err != nil {
		return err
	}
	if err := d.write(ctx, "notes", "the first note"); err != nil {
		return err
	}
	if err := d.apply(ctx, snapshotYAML); err != nil {
		return err
	}
	if err := d.until(ctx, time.Minute, "the snapshot", func() (bool, error) {
		out, err := d.kubectl(ctx, "get", "volumesnapshot", "notes", "-n", namespace, "-o", "jsonpath={.status.readyToUse}")
		return out == "true", err
	}); err != nil {
		return err
	}
	if err := d.show(ctx, "get", "volumesnapshot", "-n", namespace); err != nil {
		return err
	}
	if err := d.write(ctx, "notes", "another note"); err != nil {
		return err
	}
	if err := d.apply(ctx, restoredYAML); err != nil {
		return err
	}
	if err := d.podRuns(ctx, "restored"); err != nil {
		return err
	}
	for _, pod := range []string{"notes", "restored"} {
		if err := d.show(ctx, "exec", "-n", namespace, pod, "--", "sh", "-c", "cat /data/note; df -h /data"); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) podRuns(ctx context.Context, name string) error {
	_, err := d.kubectl(ctx, "wait", "-n", namespace, "pod/"+name, "--for=condition=Ready", "--timeout=90s")
	return err
}

func (d *demo) write(ctx context.Context, pod, note string) error {
	return d.show(ctx, "exec", "-n", namespace, pod, "--", "sh", "-c", "echo "+note+" > /data/note; sync")
}

// orderGrowth asks for more in a claim that is in use; the kubelet takes up to a minute to notice, so the other steps come
// in between.
func (d *demo) orderGrowth(ctx context.Context) error {
	d.title("A claim in use asks for 3 GiB in place of 2")
	return d.show(ctx, "patch", "pvc", "data-db-1", "-n", namespace, "-p", `{"spec":{"resources":{"requests":{"storage":"3Gi"}}}}`)
}

// growth shows the file system that has grown below its pod.
func (d *demo) growth(ctx context.Context) error {
	d.title("The claim of db-1 has grown")
	if err := d.until(ctx, 2*time.Minute, "the file system to grow", func() (bool, error) {
		out, err := d.kubectl(ctx, "exec", "-n", namespace, "db-1", "--", "sh", "-c", "df -Pk /data | awk 'NR==2 {print ($2 > 2500000)}'")
		return strings.TrimSpace(out) == "1", err
	}); err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	return d.show(ctx, "exec", "-n", namespace, "db-1", "--", "df", "-h", "/data")
}
