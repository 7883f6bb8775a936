package capacity

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const benchNodes = 5000

// cpuTime is what the process has used, garbage collection included. It says more than the clock on a busy machine.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// fleet is a ledger of many nodes with the same number of volumes each, all made, bound and included.
type fleet struct {
	*fixture
	objects []any
}

func newFleet(nodes, volumesEach int) *fleet {
	c := &clock{at: start}
	f := &fleet{fixture: &fixture{Ledger: New(c.now), clock: c}}
	for i := range nodes {
		f.addNode(i, volumesEach)
	}
	f.MarkSynced()
	return f
}

func nodeName(i int) string { return fmt.Sprintf("node-%05d.example.com", i) }

// addNode adds a node as the informers would, from objects that share no memory and are stripped.
func (f *fleet) addNode(i, volumes int) {
	name := nodeName(i)
	f.ObserveLease(name, f.clock.at)
	report := f.reportOf(i, volumes)
	f.ObserveReport(report)
	f.objects = append(f.objects, report)
	for v := range volumes {
		c := benchClaim(i, v)
		c.SelectedNode, c.ResourceVersion = name, f.nextVersion()
		f.ObserveClaim(c, true)
		object := volumeOf(c, strings.Clone(name), v1alpha1.PhaseReady, int64(v))
		object.UID = types.UID(fmt.Sprintf("%08x-0000-4000-9000-%012x", i, v))
		object.Status.VolumeGroup.UUID = "uuid-" + strings.Clone("vg-ssd")
		stripped, _ := stripVolume(object)
		f.ObserveVolume(stripped.(*v1alpha1.LogicalVolume))
		f.objects = append(f.objects, stripped)
	}
}

func benchClaim(node, volume int) Claim {
	return claim(fmt.Sprintf("%08x-0000-4000-8000-%012x", node, volume), 1)
}

// reportOf is a node's report, taken now, with 40 GiB free and all its volumes listed as far as 64.
func (f *fleet) reportOf(i, volumes int) *v1alpha1.NodeStorage {
	var recent []v1alpha1.LogicalVolumeEntry
	for v := range min(volumes, 64) {
		recent = append(recent, entry(benchClaim(i, v).VolumeID(), 1))
	}
	return &v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), ResourceVersion: strconv.FormatUint(f.nextVersion(), 10)},
		Status: v1alpha1.NodeStorageStatus{
			ObservedAt:    metav1.NewMicroTime(f.clock.at),
			VolumeGroups:  []v1alpha1.VolumeGroupStatus{group("vg-ssd", int64(volumes), 40, recent...)},
			DeviceClasses: []v1alpha1.DeviceClassStatus{{Name: "ssd", VolumeGroup: "vg-ssd", Default: true, Layout: v1alpha1.LayoutLinear}},
		},
	}
}

// BenchmarkReport is one node's report among 5,000 nodes and 50,000 claims, with a promise that it dissolves.
func BenchmarkReport(b *testing.B) {
	const volumes = 10
	f := newFleet(benchNodes, volumes)
	var took []time.Duration
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		report := f.reportOf(i%benchNodes, volumes)
		b.StartTimer()
		began := time.Now()
		f.ObserveReport(report)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "µs-median")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "µs-p99")
}

// BenchmarkDecision is what one pod with one claim asks of the ledger: all 5,000 nodes, the bytes left on the 500 that
// the scheduler scores at that size, and a reservation. Each size shows how it grows with the nodes.
func BenchmarkDecision(b *testing.B) {
	for _, nodes := range []int{500, 1000, 2000, benchNodes} {
		b.Run(strconv.Itoa(nodes), func(b *testing.B) {
			f := newFleet(nodes, 10)
			names := make([]string, nodes)
			for i := range names {
				names[i] = nodeName(i)
			}
			b.ReportAllocs()
			began := cpuTime()
			for i := 0; b.Loop(); i++ {
				d := demand(claim(strconv.Itoa(i), 1))
				for _, name := range names {
					if f.Evaluate(name, d).Reason != Fits {
						b.Fatal("a node does not fit")
					}
				}
				for _, name := range names[:max(nodes/10, 100)] {
					if _, ok := f.Left(name, d); !ok {
						b.Fatal("a node does not fit")
					}
				}
				node := names[i%nodes]
				f.Reserve(node, "pod", d)
				// Back to what it was, for the next.
				f.ObserveClaim(atVersion(d.Claims[0], "", 2), false)
				f.Unreserve(node, "pod", d)
			}
			b.ReportMetric(float64((cpuTime()-began).Microseconds())/float64(b.N)/1e3, "ms-CPU/pod")
		})
	}
}

// BenchmarkMemory is what the ledger keeps of 5,000 nodes and 100,000 volumes, without and with the objects that its
// informers keep.
func BenchmarkMemory(b *testing.B) {
	used := func() float64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return float64(stats.HeapAlloc) / 1e6
	}
	for b.Loop() {
		before := used()
		f := newFleet(benchNodes, 20)
		with := used() - before
		f.objects = nil
		without := used() - before
		runtime.KeepAlive(f)
		b.ReportMetric(with, "MB-with-informers")
		b.ReportMetric(without, "MB-ledger")
	}
}

// BenchmarkWakeRound is a round in which space came free on 100 nodes and 5,000 pods wait that fit none of them.
func BenchmarkWakeRound(b *testing.B) {
	f, q := newFleet(benchNodes, 10), newTestQueue()
	for i := range 5000 {
		f.await(q, i, 90)
	}
	for b.Loop() {
		b.StopTimer()
		for i := range 100 {
			f.improve(nodeName(i))
		}
		b.StartTimer()
		for more := true; more; {
			_, more = f.chooseWoken()
		}
	}
}

// An accepted node costs no allocation: thousands are asked for each pod.
func TestAcceptedNodeAllocatesNothing(t *testing.T) {
	f := newFixture(t)
	f.report("a", group("vg-ssd", 1, 10), group("vg-hdd", 1, 10))
	other := claim("hdd", 1)
	other.DeviceClass = "hdd"
	d := demand(claim("c", 1), claim("d", 2), other)
	if n := testing.AllocsPerRun(100, func() { f.Evaluate("a", d) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// The quick way and the whole one agree.
func TestTallyAgreesWithFit(t *testing.T) {
	f := newFixture(t)
	f.report("a", group("vg-ssd", 1, 7), group("vg-hdd", 1, 3))
	f.Reserve("a", "other", demand(claim("other", 2)))
	for ssd := range int64(8) {
		for hdd := range int64(5) {
			part, other := claim("part", ssd), claim("hdd", hdd)
			part.SizeBytes++
			other.DeviceClass = "hdd"
			d := demand(claim("c", ssd), part, other)
			quick := f.Evaluate("a", d)
			if slow, _ := f.evaluate("a", d, nil); quick != slow {
				t.Errorf("%d and %d GiB: %+v, and the whole way %+v", ssd, hdd, quick, slow)
			}
			var t2 tally
			if fits, ok := f.tallyUp("a", &d, &t2); ssd > 0 && hdd > 0 && (!ok || fits != (quick.Reason == Fits)) {
				t.Errorf("%d and %d GiB: by sums %t, %t", ssd, hdd, fits, ok)
			}
		}
	}
}
