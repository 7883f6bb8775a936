package capacity

import (
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Sizes in the tests are extents of 1 GiB, so that rounding does nothing unless a case wants it to.
const gib = int64(1) << 30

// start is when the tests' clock starts.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is a clock that stands until it is moved.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) add(d time.Duration) { c.at = c.at.Add(d) }

// fixture is a synced ledger with live agents on nodes a and b.
type fixture struct {
	*Ledger
	clock   *clock
	version uint64
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	c := &clock{at: start}
	f := &fixture{Ledger: New(c.now), clock: c}
	f.MarkSynced()
	f.renew()
	return f
}

// renew lets both agents give a sign of life.
func (f *fixture) renew() {
	f.ObserveLease("a", f.clock.at)
	f.ObserveLease("b", f.clock.at)
}

func (f *fixture) nextVersion() uint64 {
	f.version++
	return f.version
}

// group is one volume group with one physical volume.
func group(name string, seqno, free int64, recent ...v1alpha1.LogicalVolumeEntry) v1alpha1.VolumeGroupStatus {
	return v1alpha1.VolumeGroupStatus{
		Name: name, Usable: true, UUID: "uuid-" + name, Seqno: seqno, ExtentSizeBytes: gib, SizeBytes: 100 * gib, FreeBytes: free * gib,
		PhysicalVolumes: []v1alpha1.PhysicalVolumeStatus{{Name: "/dev/sdb", SizeBytes: 100 * gib, FreeBytes: free * gib, Allocatable: true}},
		Recent:          recent,
	}
}

func entry(name string, size int64) v1alpha1.LogicalVolumeEntry {
	return v1alpha1.LogicalVolumeEntry{Name: name, SizeBytes: size * gib}
}

// report publishes a node's volume groups as taken now. Class ssd, the default, is in vg-ssd; hdd in vg-hdd.
func (f *fixture) report(node string, groups ...v1alpha1.VolumeGroupStatus) {
	f.ObserveReport(&v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: node, ResourceVersion: strconv.FormatUint(f.nextVersion(), 10)},
		Status: v1alpha1.NodeStorageStatus{
			ObservedAt: metav1.NewMicroTime(f.clock.at), VolumeGroups: groups,
			DeviceClasses: []v1alpha1.DeviceClassStatus{
				{Name: "ssd", VolumeGroup: "vg-ssd", Default: true}, {Name: "hdd", VolumeGroup: "vg-hdd"},
			},
		},
	})
}

// claim is an unbound claim of class ssd.
func claim(uid string, size int64) Claim {
	return Claim{UID: types.UID(uid), Namespace: "ns", Name: uid, DeviceClass: "ssd", SizeBytes: size * gib, ResourceVersion: 1}
}

// selected is the claim with selected-node, at a later version.
func (f *fixture) selected(c Claim, node string) Claim {
	c.SelectedNode, c.ResourceVersion = node, f.nextVersion()+1000
	return c
}

func demand(claims ...Claim) Demand { return NewDemand(claims, 3*time.Minute) }

// volumeOf is the claim's LogicalVolume.
func volumeOf(c Claim, node string, phase v1alpha1.VolumePhase, seqno int64) *v1alpha1.LogicalVolume {
	v := &v1alpha1.LogicalVolume{
		ObjectMeta: metav1.ObjectMeta{Name: c.VolumeID(), CreationTimestamp: metav1.NewTime(start), Generation: 1},
		Spec: v1alpha1.LogicalVolumeSpec{
			NodeName: node, DeviceClass: c.DeviceClass, SizeBytes: c.SizeBytes, State: v1alpha1.StatePresent,
			ClaimRef: v1alpha1.ClaimReference{UID: c.UID},
		},
		Status: v1alpha1.LogicalVolumeStatus{Phase: phase},
	}
	if phase == v1alpha1.PhaseFailed {
		v.Status.Code = "ResourceExhausted"
	}
	if phase == v1alpha1.PhaseReady {
		v.Status.AllocatedBytes = c.SizeBytes
		v.Status.VolumeGroup = v1alpha1.VolumeGroupReference{Name: "vg-" + c.DeviceClass, UUID: "uuid-vg-" + c.DeviceClass, Seqno: seqno}
	}
	return v
}

// free is what a stranger's claim of class ssd would find on the node, in GiB; -1 when the node cannot serve it.
func (f *fixture) free(node string) int64 {
	verdict := f.Evaluate(node, demand(claim("stranger", 1<<30)))
	if verdict.Reason != TooFewBytes {
		return -1
	}
	return verdict.FreeBytes / gib
}

func (f *fixture) wantFree(t *testing.T, node string, want int64, why string) {
	t.Helper()
	if got := f.free(node); got != want {
		t.Errorf("%s: %d GiB free on %s, want %d", why, got, node, want)
	}
}
