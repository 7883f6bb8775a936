package capacity

import (
	"strconv"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// layouts reports for node a one volume group vg with so many GiB free on each physical volume and a thin pool of 10 GiB,
// and all its device classes.
func (f *fixture) layouts(recent []v1alpha1.LogicalVolumeEntry, free ...int64) {
	g := v1alpha1.VolumeGroupStatus{
		Name: "vg", Usable: true, UUID: "uuid-vg", Seqno: 1, ExtentSizeBytes: gib, Recent: recent,
		ThinPools: []v1alpha1.ThinPoolStatus{{Name: "pool", SizeBytes: 10 * gib, MetadataSizeBytes: gib, VirtualBytes: 5 * gib}},
	}
	for i, n := range free {
		g.PhysicalVolumes = append(g.PhysicalVolumes, v1alpha1.PhysicalVolumeStatus{
			Name: "/dev/sd" + string(rune('a'+i)), FreeBytes: n * gib, Allocatable: true,
		})
	}
	f.ObserveReport(&v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: strconv.FormatUint(f.nextVersion(), 10)},
		Status: v1alpha1.NodeStorageStatus{
			ObservedAt: metav1.NewMicroTime(f.clock.at), VolumeGroups: []v1alpha1.VolumeGroupStatus{g},
			DeviceClasses: []v1alpha1.DeviceClassStatus{
				{Name: "ssd", VolumeGroup: "vg", Default: true},
				{Name: "mirror", VolumeGroup: "vg", Layout: "raid1", Mirrors: 2},
				{Name: "thin", VolumeGroup: "vg", Layout: "thin", ThinPool: "pool", OverprovisionPercent: 200},
				{Name: "lost", VolumeGroup: "vg", Layout: "thin", ThinPool: "gone", OverprovisionPercent: 200},
				{Name: "future", VolumeGroup: "vg", Layout: "raid7", Stripes: 3},
				{Name: "sealed", VolumeGroup: "vg", OverheadBytes: gib},
			},
		},
	})
}

func claimOf(class, uid string, size int64) Claim {
	c := claim(uid, size)
	c.DeviceClass = class
	return c
}

func TestEvaluateLayouts(t *testing.T) {
	short := func(class string, reason Reason, wanted, free int64) Verdict {
		return Verdict{Reason: reason, DeviceClass: class, VolumeGroup: "vg", WantedBytes: wanted * gib, FreeBytes: free * gib}
	}
	for _, test := range []struct {
		name   string
		free   []int64
		claims []Claim
		want   Verdict
	}{
		// 2 × (4 + 1)
		{"copies, exact", []int64{5, 5}, []Claim{claimOf("mirror", "c", 4)}, Verdict{}},
		{"copies, one too many", []int64{5, 5}, []Claim{claimOf("mirror", "c", 5)}, short("mirror", TooFewBytes, 12, 10)},
		{"copies on one", []int64{9, 4}, []Claim{claimOf("mirror", "c", 4)}, short("mirror", TooFewPhysicalVolumes, 10, 13)},
		// 2 × (4 + 1) and 2: whichever comes first.
		{"classes of a volume group together, exact", []int64{7, 5}, []Claim{claimOf("mirror", "c", 4), claimOf("ssd", "d", 2)}, Verdict{}},
		// Linear first leaves 4 and 6.
		{"in the worst order they do not fit", []int64{6, 6}, []Claim{claimOf("mirror", "c", 4), claimOf("ssd", "d", 2)},
			short("mirror", TooFewPhysicalVolumes, 12, 12)},
		// 10 × 200 % less 5
		{"thin, exact, with nothing free", []int64{0}, []Claim{claimOf("thin", "c", 15)}, Verdict{}},
		{"thin, one too many", []int64{99}, []Claim{claimOf("thin", "c", 16)}, short("thin", TooFewBytes, 16, 15)},
		{"no such pool", []int64{99}, []Claim{claimOf("lost", "c", 1)}, Verdict{Reason: VolumeGroupUnusable, DeviceClass: "lost", VolumeGroup: "vg"}},
		{"unknown layout", []int64{99, 99, 99, 99}, []Claim{claimOf("future", "c", 1)}, Verdict{Reason: LayoutUnknown, DeviceClass: "future", VolumeGroup: "vg"}},
		{"overhead, exact", []int64{5}, []Claim{claimOf("sealed", "c", 4)}, Verdict{}},
		{"overhead, one too many", []int64{5}, []Claim{claimOf("sealed", "c", 5)}, short("sealed", TooFewBytes, 6, 5)},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.layouts(nil, test.free...)
			if v := f.Evaluate("a", demand(test.claims...)); v != test.want {
				t.Errorf("%+v, want %+v", v, test.want)
			}
		})
	}
}

// What is in flight counts by its class's layout until the report includes it.
func TestLayoutsInFlight(t *testing.T) {
	f, c := newFixture(t), claimOf("mirror", "c", 4)
	f.layouts(nil, 9, 7)
	if v := f.Reserve("a", "pod", demand(c)); v.Reason != Fits {
		t.Fatalf("Reserve: %+v", v)
	}
	if got := f.Stats().ReservedBytes[SourceReserved]; got != 10*gib {
		t.Errorf("%d bytes reserved, want 2 × (4 + 1) GiB", got)
	}
	// 16 less 2 × 5 are 6. Linear 4 made first leaves 5 and 7, linear 5 leaves 4 and 7.
	for _, test := range []struct {
		size int64
		want Reason
	}{{4, Fits}, {5, TooFewPhysicalVolumes}, {7, TooFewBytes}} {
		if v := f.Evaluate("a", demand(claim("d", test.size))); v.Reason != test.want {
			t.Errorf("linear %d: %+v, want %v", test.size, v, test.want)
		}
	}
	f.layouts([]v1alpha1.LogicalVolumeEntry{entry(c.VolumeID(), 4)}, 4, 2)
	if v := f.Evaluate("a", demand(claim("d", 6))); v.Reason != Fits {
		t.Errorf("linear 6 of 4 + 2 once the copies are made: %+v", v)
	}
}

// A refused expansion asks for nothing more, whatever its class adds to a size.
func TestRefusedGrowthWithOverhead(t *testing.T) {
	f, c := newFixture(t), claimOf("sealed", "c", 4)
	grown := volumeOf(c, "a", v1alpha1.PhaseReady, 1)
	grown.Spec.SizeBytes, grown.Status.AllocatedBytes = 6*gib, 5*gib
	grown.Status.VolumeGroup.Name, grown.Status.VolumeGroup.UUID = "vg", "uuid-vg"
	grown.Status.Code, grown.Status.ObservedGeneration = "OutOfRange", grown.Generation
	f.layouts([]v1alpha1.LogicalVolumeEntry{entry(c.VolumeID(), 5)}, 3)
	f.ObserveVolume(grown)
	if v := f.Evaluate("a", demand(claim("d", 3))); v.Reason != Fits {
		t.Errorf("all 3 free: %+v", v)
	}
	// Asked again, it takes 6 + 1 - 5.
	grown.Generation++
	f.ObserveVolume(grown)
	if v := f.Evaluate("a", demand(claim("d", 2))); v.Reason != TooFewBytes || v.FreeBytes != gib {
		t.Errorf("%+v, want 1 GiB free", v)
	}
}

// The same bytes elsewhere can be what a pod waits for.
func TestBytesElsewhereWake(t *testing.T) {
	f, q := newFixture(t), &queue{}
	f.layouts(nil, 9, 1)
	f.rounds(q, 2)
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", UID: "pod"}}
	f.Await(pod, demand(claimOf("mirror", "c", 4)), q, nil)
	f.layouts(nil, 8, 2)
	if woken := f.rounds(q, 2); woken != "" {
		t.Errorf("woken %q where copies do not fit", woken)
	}
	f.layouts(nil, 5, 5)
	if woken := f.rounds(q, 2); woken != "pod" {
		t.Errorf("woken %q, want the pod", woken)
	}
}

func TestLeftByLayout(t *testing.T) {
	f := newFixture(t)
	f.layouts(nil, 9, 9)
	left, ok := f.Left("a", demand(claimOf("mirror", "c", 4), claimOf("thin", "d", 3)))
	// 18 - 2 × (4 + 1); 20 - 5 - 3.
	if !ok || len(left.Classes) != 2 || left.Classes[0].LeftBytes != 8*gib || left.Classes[1].LeftBytes != 12*gib {
		t.Errorf("%+v (%t), want 8 and 12 GiB", left, ok)
	}
}
