//go:build integration

package integration

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/plugin"
)

// A pod of low priority has 90 of 100 processors and 3 of 4 GiB, and its volume is still being made. One of higher
// priority wants 60 processors and 2 GiB. Preemption tries out what the first pod's end would give: processors enough,
// but our Filter still counts its bytes. Nobody is evicted, and the ledger is as it was.
func testPreemptionLeavesNoTrace(t *testing.T, e *environment) {
	d := newFakeDriver(t, e, "preempt")
	e.addClass(t, "preempt", map[string]string{"deviceClass": "preempt"})
	d.addNode(t, "preempt-a", 4)
	awaitReports(t, e)
	release := d.hold()
	defer release()
	e.addPodOf(t, "preempt-low", 100, "90", "3Gi")
	const low = 3 << 30
	before := e.awaitReserved(t, "selected", low)
	e.addPodOf(t, "preempt-high", 200, "60", "2Gi")
	e.awaitEvent(t, "preempt-high", "FailedScheduling", "Insufficient cpu", "preemption: 0/", plugin.ErrReasonTooFewBytes)
	if after := e.reserved(t); after != before {
		t.Errorf("reserved before:\n%s\nafter:\n%s", before, after)
	}
	release()
	e.awaitPlaced(t, "preempt-low", 1, 10*time.Second)
}

// addPodOf makes a pod of a priority class of its own.
func (e *environment) addPodOf(t *testing.T, name string, priority int32, cpus, size string) {
	t.Helper()
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: priority}
	if _, err := e.kube.SchedulingV1().PriorityClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := e.newPod(t, name, "preempt", size)
	pod.Spec.PriorityClassName = name
	pod.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpus)}
	e.create(t, pod)
}

var reservedLine = regexp.MustCompile(`(?m)^berth_scheduler_reserved_bytes\{.*$`)

// reserved is what the scheduler's ledger holds, by source.
func (e *environment) reserved(t *testing.T) string {
	t.Helper()
	page, err := e.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	lines := reservedLine.FindAllString(page, -1)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// awaitReserved waits until the ledger holds so many bytes by that source, and returns all that it holds.
func (e *environment) awaitReserved(t *testing.T, source string, bytes float64) string {
	t.Helper()
	// As the text format writes numbers.
	want := fmt.Sprintf("source=%q} %s", source, strconv.FormatFloat(bytes, 'g', -1, 64))
	var lines string
	e.await(t, 10*time.Second, want, func(context.Context) (bool, error) {
		lines = e.reserved(t)
		return strings.Contains(lines, want), nil
	})
	return lines
}
