//go:build lab

package benchmark

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

const (
	volumeGroup = "berth"
	thinPool    = "pool0" // of class thin, in the volume group
	rounds      = 15
)

// The node this runs on and the address of its agent's metrics.
var (
	nodeName   = os.Getenv("BERTH_NODE")
	agentsHTTP = os.Getenv("BERTH_AGENT_METRICS")
)

// services are those of one node's agent, and of a controller that runs on the node.
type services struct {
	controller csi.ControllerClient
	node       csi.NodeClient
}

func connect(t *testing.T) services {
	t.Helper()
	return services{
		controller: csi.NewControllerClient(dial(t, "/var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/csi/csi.sock")),
		node:       csi.NewNodeClient(dial(t, "/var/lib/kubelet/plugins/"+v1alpha1.DriverName+"/csi.sock")),
	}
}

// dial connects to the first socket that a pattern matches.
func dial(t *testing.T, pattern string) *grpc.ClientConn {
	t.Helper()
	sockets, err := filepath.Glob(pattern)
	if err != nil || len(sockets) == 0 {
		t.Fatalf("no socket %s on this node: %v", pattern, err)
	}
	conn, err := grpc.NewClient("unix://"+sockets[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// volume is one to be made.
type volume struct {
	class, fs string // no file system: a block volume
	bytes     int64
}

func (v volume) capability() *csi.VolumeCapability {
	capability := &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
	}
	if v.fs != "" {
		capability.AccessType = &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: v.fs}}
	}
	return capability
}

// create makes a volume on this node and returns its ID.
func (s services) create(ctx context.Context, name string, v volume) (string, error) {
	here := &csi.Topology{Segments: map[string]string{v1alpha1.TopologyKey: lvm.TopologyValue(nodeName)}}
	reply, err := s.controller.CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name:                      fmt.Sprintf("bench-%s-%d", name, os.Getpid()),
		CapacityRange:             &csi.CapacityRange{RequiredBytes: v.bytes},
		VolumeCapabilities:        []*csi.VolumeCapability{v.capability()},
		AccessibilityRequirements: &csi.TopologyRequirement{Requisite: []*csi.Topology{here}, Preferred: []*csi.Topology{here}},
		Parameters:                map[string]string{"deviceClass": v.class},
	})
	return reply.GetVolume().GetVolumeId(), err
}

func (s services) remove(ctx context.Context, volumeID string) error {
	_, err := s.controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: volumeID})
	return err
}

// TestCreateVolume compares CreateVolume, from RPC to reply, with a raw lvcreate of the same size on the same node, one
// of each in turn, and counts the executions of LVM per volume.
func TestCreateVolume(t *testing.T) {
	s := connect(t)
	for _, kind := range []volume{
		// Block volumes are overwritten with zeros, which takes its time by size; mkfs.xfs wants 300 MiB at least.
		{"standard", "", 256 << 20},
		{"standard", "ext4", 256 << 20},
		{"standard", "xfs", 512 << 20},
		{"thin", "", 256 << 20},
		{"thin", "ext4", 256 << 20},
	} {
		name := kind.class + "-" + kind.fs
		t.Run(name, func(t *testing.T) { compare(t, s, name, kind) })
	}
}

func compare(t *testing.T, s services, name string, kind volume) {
	var raw, create, remove []time.Duration
	var createRuns, removeRuns float64
	for i := range rounds {
		raw = append(raw, timed(t, func() error { return rawCreate("bench-raw", kind) }))
		if err := lvm2("lvremove", "-qq", "-y", volumeGroup+"/bench-raw"); err != nil {
			t.Fatal(err)
		}
		// The raw commands are outside changes, which the agent sees within two seconds and reports with one more
		// execution: let it, so that it is not counted as the volume's.
		time.Sleep(3 * time.Second)
		var volumeID string
		createRuns += counted(t, func() {
			create = append(create, timed(t, func() (err error) {
				volumeID, err = s.create(t.Context(), fmt.Sprintf("%s-%d", name, i), kind)
				return err
			}))
		})
		removeRuns += counted(t, func() {
			remove = append(remove, timed(t, func() error { return s.remove(t.Context(), volumeID) }))
		})
	}
	fmt.Printf("%-14s lvcreate %4d ms   CreateVolume %4d ms   ratio %.2f   DeleteVolume %4d ms   LVM executions: create %.1f, delete %.1f\n",
		name, median(raw).Milliseconds(), median(create).Milliseconds(), float64(median(create))/float64(median(raw)),
		median(remove).Milliseconds(), createRuns/rounds, removeRuns/rounds)
}

// rawCreate makes an LV by hand.
func rawCreate(name string, kind volume) error {
	size := fmt.Sprint(kind.bytes, "b")
	if kind.class == "thin" {
		return lvm2("lvcreate", "-qq", "-y", "-n", name, "-V", size, "--thinpool", volumeGroup+"/"+thinPool)
	}
	return lvm2("lvcreate", "-qq", "-y", "-n", name, "-L", size, volumeGroup)
}

// TestCalls counts the executions of LVM of every call in a volume's life.
func TestCalls(t *testing.T) {
	s := connect(t)
	for _, class := range []string{"standard", "thin"} {
		m := mounted{services: s, t: t, volume: volume{class, "ext4", 64 << 20}, name: "calls-" + class}
		var line []string
		for _, call := range []struct {
			name string
			do   func() error
		}{
			{"create", m.create}, {"stage", m.stage}, {"publish", m.publish}, {"stats", m.stats},
			{"snapshot", m.snapshot}, {"delete snapshot", m.removeSnapshot}, {"expand", m.expand}, {"expand on node", m.expandNode},
			{"unpublish", m.unpublish}, {"unstage", m.unstage}, {"delete", m.remove},
		} {
			runs := counted(t, func() { timed(t, call.do) })
			line = append(line, fmt.Sprintf("%s %.0f", call.name, runs))
		}
		fmt.Printf("LVM executions, %s: %s\n", class, strings.Join(line, ", "))
	}
}

// TestManyVolumes compares CreateVolume with 5 logical volumes on the node and with 500.
func TestManyVolumes(t *testing.T) {
	s := connect(t)
	kind := volume{"standard", "ext4", 64 << 20}
	measure := func(name string) (create, raw time.Duration) {
		var creates, raws []time.Duration
		for i := range rounds {
			var volumeID string
			creates = append(creates, timed(t, func() (err error) {
				volumeID, err = s.create(t.Context(), fmt.Sprintf("%s-%d", name, i), kind)
				return err
			}))
			timed(t, func() error { return s.remove(t.Context(), volumeID) })
			raws = append(raws, timed(t, func() error { return rawCreate("bench-raw", kind) }))
			timed(t, func() error { return lvm2("lvremove", "-qq", "-y", volumeGroup+"/bench-raw") })
			time.Sleep(3 * time.Second)
		}
		return median(creates), median(raws)
	}
	makeMany(t, 0, 5)
	fewCreate, fewRaw := measure("few")
	makeMany(t, 5, 500)
	manyCreate, manyRaw := measure("many")
	timed(t, func() error { return lvm2("lvremove", "-qq", "-y", "--select", "lv_tags=bench", volumeGroup) })
	fmt.Printf("CreateVolume with 5 LVs on the node %d ms, with 500 %d ms, ratio %.2f; lvcreate %d and %d ms, ratio %.2f\n",
		fewCreate.Milliseconds(), manyCreate.Milliseconds(), float64(manyCreate)/float64(fewCreate),
		fewRaw.Milliseconds(), manyRaw.Milliseconds(), float64(manyRaw)/float64(fewRaw))
}

// makeMany makes small LVs by hand, all by one LVM process.
func makeMany(t *testing.T, from, to int) {
	t.Helper()
	var lines strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&lines, "lvcreate -qq -y -Wn -Zn --addtag bench -n bench-many-%d -l 1 %s\n", i, volumeGroup)
	}
	command := exec.CommandContext(t.Context(), "lvm")
	command.Stdin = strings.NewReader(lines.String())
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("lvm: %v: %s", err, out)
	}
	time.Sleep(5 * time.Second)
}

// TestManyMounted says what an agent with 200 mounted volumes takes: memory, processor time and executions of LVM in a
// minute in which nothing happens, and in one with a round of statistics, as the kubelet asks for them.
func TestManyMounted(t *testing.T) {
	const many = 200
	s := connect(t)
	volumes := make([]*mounted, many)
	for i := range volumes {
		m := &mounted{services: s, t: t, volume: volume{"standard", "ext4", 16 << 20}, name: fmt.Sprintf("mounted-%d", i)}
		volumes[i] = m
		for _, step := range []func() error{m.create, m.stage, m.publish} {
			timed(t, step)
		}
	}
	time.Sleep(5 * time.Second)
	runs := executions(t)
	_, began := usage(t)
	time.Sleep(time.Minute)
	_, idle := usage(t)
	fmt.Printf("%d volumes, an idle minute: %.0f LVM executions, %d ms of processor time\n", many, executions(t)-runs, (idle - began).Milliseconds())
	minute := time.After(time.Minute)
	for _, m := range volumes {
		timed(t, m.stats)
	}
	<-minute
	resident, ended := usage(t)
	fmt.Printf("%d volumes, a minute with a round of statistics: %d ms of processor time, %.2f %% of a core; resident memory %.1f MB\n",
		many, (ended - idle).Milliseconds(), 100*(ended-idle).Seconds()/60, resident/1e6)
	for _, m := range volumes {
		for _, step := range []func() error{m.unpublish, m.unstage, m.remove} {
			timed(t, step)
		}
	}
}

func timed(t *testing.T, call func() error) time.Duration {
	t.Helper()
	start := time.Now()
	if err := call(); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// counted is how many executions of LVM an action leads to, within a second after it.
func counted(t *testing.T, action func()) float64 {
	t.Helper()
	before := executions(t)
	action()
	time.Sleep(time.Second)
	return executions(t) - before
}

func lvm2(args ...string) error {
	out, err := exec.CommandContext(context.Background(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

// executions is how many LVM processes the agent has started.
func executions(t *testing.T) float64 {
	t.Helper()
	var sum float64
	for _, metric := range scrape(t)["berth_lvm_command_duration_seconds"].GetMetric() {
		sum += float64(metric.GetHistogram().GetSampleCount())
	}
	return sum
}

// usage is what the agent's process has resident, in bytes, and the processor time that it has taken so far.
func usage(t *testing.T) (resident float64, processor time.Duration) {
	t.Helper()
	families := scrape(t)
	seconds := families["process_cpu_seconds_total"].GetMetric()[0].GetCounter().GetValue()
	return families["process_resident_memory_bytes"].GetMetric()[0].GetGauge().GetValue(), time.Duration(seconds * float64(time.Second))
}

func scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	reply, err := http.Get("http://" + agentsHTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}
