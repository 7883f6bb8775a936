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
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

const (
	volumeGroup = "berth"
	rounds      = 15
)

// The node this runs on and the address of its agent's metrics.
var (
	nodeName   = os.Getenv("BERTH_NODE")
	agentsHTTP = os.Getenv("BERTH_AGENT_METRICS")
)

// TestCreateVolume compares CreateVolume, from RPC to reply, with a raw lvcreate of the same size on the same node, one
// of each in turn, and counts the executions of LVM per volume.
func TestCreateVolume(t *testing.T) {
	controller := csi.NewControllerClient(dial(t, "csi"))
	for _, kind := range []struct {
		name       string
		capability *csi.VolumeCapability
		sizeBytes  int64
	}{
		// Block volumes are overwritten with zeros, which takes its time by size; mkfs.xfs wants 300 MiB at least.
		{"block", &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}, AccessMode: writer}, 256 << 20},
		{"ext4", mountCapability("ext4"), 256 << 20},
		{"xfs", mountCapability("xfs"), 512 << 20},
	} {
		t.Run(kind.name, func(t *testing.T) { compare(t, controller, kind.name, kind.capability, kind.sizeBytes) })
	}
}

var writer = &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER}

func mountCapability(fs string) *csi.VolumeCapability {
	return &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: fs}}, AccessMode: writer}
}

func compare(t *testing.T, controller csi.ControllerClient, kind string, capability *csi.VolumeCapability, sizeBytes int64) {
	var raw, create, remove []time.Duration
	var createRuns, removeRuns float64
	for i := range rounds {
		raw = append(raw, timed(t, func() error {
			return lvm2("lvcreate", "-qq", "-y", "-n", "bench-raw", "-L", fmt.Sprint(sizeBytes, "b"), volumeGroup)
		}))
		if err := lvm2("lvremove", "-qq", "-y", volumeGroup+"/bench-raw"); err != nil {
			t.Fatal(err)
		}
		// The raw commands are outside changes, which the agent sees within two seconds and reports with one more
		// execution: let it, so that it is not counted as the volume's.
		time.Sleep(3 * time.Second)
		name := fmt.Sprintf("bench-%s-%d-%d", kind, os.Getpid(), i)
		before := executions(t)
		var volumeID string
		create = append(create, timed(t, func() error {
			reply, err := controller.CreateVolume(t.Context(), request(name, capability, sizeBytes))
			volumeID = reply.GetVolume().GetVolumeId()
			return err
		}))
		time.Sleep(time.Second)
		between := executions(t)
		remove = append(remove, timed(t, func() error {
			_, err := controller.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: volumeID})
			return err
		}))
		time.Sleep(time.Second)
		createRuns += between - before
		removeRuns += executions(t) - between
	}
	fmt.Printf("%-6s lvcreate %4d ms   CreateVolume %4d ms   ratio %.2f   DeleteVolume %4d ms   LVM executions: create %.1f, delete %.1f\n",
		kind, median(raw).Milliseconds(), median(create).Milliseconds(), float64(median(create))/float64(median(raw)),
		median(remove).Milliseconds(), createRuns/rounds, removeRuns/rounds)
}

func request(name string, capability *csi.VolumeCapability, sizeBytes int64) *csi.CreateVolumeRequest {
	here := &csi.Topology{Segments: map[string]string{v1alpha1.TopologyKey: lvm.TopologyValue(nodeName)}}
	r := &csi.CreateVolumeRequest{
		Name:                      name,
		CapacityRange:             &csi.CapacityRange{RequiredBytes: sizeBytes},
		VolumeCapabilities:        []*csi.VolumeCapability{capability},
		AccessibilityRequirements: &csi.TopologyRequirement{Requisite: []*csi.Topology{here}, Preferred: []*csi.Topology{here}},
		Parameters:                map[string]string{},
	}
	return r
}

// TestIdleMinute counts the executions of LVM in a minute in which nothing happens.
func TestIdleMinute(t *testing.T) {
	time.Sleep(5 * time.Second)
	before := executions(t)
	time.Sleep(time.Minute)
	fmt.Printf("LVM executions in an idle minute: %.0f\n", executions(t)-before)
}

// dial connects to the CSI socket in an emptyDir of that name of a pod on this node.
func dial(t *testing.T, volume string) *grpc.ClientConn {
	t.Helper()
	sockets, err := filepath.Glob("/var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/" + volume + "/csi.sock")
	if err != nil || len(sockets) == 0 {
		t.Fatalf("no controller on this node: %v", err)
	}
	conn, err := grpc.NewClient("unix://"+sockets[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func timed(t *testing.T, call func() error) time.Duration {
	t.Helper()
	start := time.Now()
	if err := call(); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
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
	var sum float64
	for _, metric := range families["berth_lvm_command_duration_seconds"].GetMetric() {
		sum += float64(metric.GetHistogram().GetSampleCount())
	}
	return sum
}
