package plugin

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// BenchmarkCycle is the plugin's share of scheduling one pod with one claim on 5,000 nodes: PreFilter, Filter on all
// of them, Score on the 500 that the scheduler scores at that size, Reserve.
func BenchmarkCycle(b *testing.B) {
	const nodes, scored = 5000, 500
	f := newFixture(b, VolumeGroupCapacityArgs{}, class("ours", map[string]string{"deviceClass": "ssd"}), pvc("c", "ours", "1Gi"))
	infos := make([]fwk.NodeInfo, nodes)
	for i := range infos {
		name := fmt.Sprintf("node-%05d", i)
		f.node(name, 40*gib)
		infos[i] = nodeInfo(name)
	}
	pod := podWith("c")
	b.ReportAllocs()
	began := cpuTime()
	for b.Loop() {
		f.once(b, pod, infos, scored)
	}
	b.ReportMetric(float64((cpuTime()-began).Microseconds())/float64(b.N)/1e3, "ms-CPU/pod")
}

// cpuTime is what the process has used, garbage collection included.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func (f *fixture) once(b *testing.B, pod *v1.Pod, infos []fwk.NodeInfo, scored int) {
	ctx, cycle := b.Context(), framework.NewCycleState()
	if _, status := f.plugin.PreFilter(ctx, cycle, pod, infos); !status.IsSuccess() {
		b.Fatal(status)
	}
	for _, info := range infos {
		if status := f.plugin.Filter(ctx, cycle, pod, info); !status.IsSuccess() {
			b.Fatal(status)
		}
	}
	scores := make(fwk.NodeScoreList, scored)
	for i, info := range infos[:scored] {
		score, status := f.plugin.Score(ctx, cycle, pod, info)
		if !status.IsSuccess() {
			b.Fatal(status)
		}
		scores[i] = fwk.NodeScore{Name: info.Node().Name, Score: score}
	}
	f.plugin.NormalizeScore(ctx, cycle, pod, scores)
	if status := f.plugin.Reserve(ctx, cycle, pod, infos[0].Node().Name); !status.IsSuccess() {
		b.Fatal(status)
	}
	f.plugin.Unreserve(ctx, cycle, pod, infos[0].Node().Name)
}
