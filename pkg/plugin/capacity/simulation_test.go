package capacity

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// world is a cluster of two nodes in which everything that may be late is late by chance: reports, LogicalVolume and
// claim events reach the ledger in the order of their kind, each kind at its own pace. The truth about the disks is
// kept apart, by addition; the ledger must never let it be exceeded, and must agree with it once all is quiet.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	clock   *clock
	ledger  *Ledger
	version uint64
	next    int
	recent  int // how many volumes a report lists

	disks   map[string]*disk
	claims  map[types.UID]*simClaim
	volumes map[string]*v1alpha1.LogicalVolume
	streams [3][]func() // claims, volumes, reports
	// jobs are steps that somebody has begun and not done yet.
	jobs   []job
	placed int
}

type disk struct {
	sizeBytes int64
	seqno     int64
	lvs       map[string]int64
	order     []string
}

func (d *disk) freeBytes() int64 {
	free := d.sizeBytes
	for _, size := range d.lvs {
		free -= size
	}
	return free
}

type simClaim struct {
	Claim
	bound, deleted bool
}

// job is a step that happens when chance picks it, at the latest at its time.
type job struct {
	latest time.Time
	do     func()
}

const (
	streamClaims = iota
	streamVolumes
	streamReports
)

func newWorld(t *testing.T, seed uint64, recent int) *world {
	c := &clock{at: start}
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 0)), clock: c, ledger: New(c.now), recent: recent, version: 100,
		disks:  map[string]*disk{"a": {sizeBytes: 12 * gib, lvs: map[string]int64{}}, "b": {sizeBytes: 20 * gib, lvs: map[string]int64{}}},
		claims: map[types.UID]*simClaim{}, volumes: map[string]*v1alpha1.LogicalVolume{},
	}
	w.ledger.MarkSynced()
	w.report("a")
	w.report("b")
	return w
}

func (w *world) send(stream int, event func()) { w.streams[stream] = append(w.streams[stream], event) }

func (w *world) later(within time.Duration, do func()) {
	w.jobs = append(w.jobs, job{w.clock.at.Add(within), do})
}

func (w *world) bump() uint64 {
	w.version++
	return w.version
}

// sendClaim and sendVolume publish an object as it is now.
func (w *world) sendClaim(c *simClaim) {
	c.ResourceVersion = w.bump()
	claim, bound := c.Claim, c.bound
	w.send(streamClaims, func() { w.ledger.ObserveClaim(claim, bound) })
}

func (w *world) sendVolume(v *v1alpha1.LogicalVolume) {
	v.ResourceVersion = strconv.FormatUint(w.bump(), 10)
	copied := v.DeepCopy()
	w.send(streamVolumes, func() { w.ledger.ObserveVolume(copied) })
}

// report takes a node's report now; it is written a little later, in order.
func (w *world) report(node string) {
	d := w.disks[node]
	g := group("vg-ssd", d.seqno, 0)
	g.UUID, g.FreeBytes = "uuid-"+node, d.freeBytes()
	g.PhysicalVolumes[0].FreeBytes = d.freeBytes()
	for _, name := range d.order[max(0, len(d.order)-w.recent):] {
		if size, ok := d.lvs[name]; ok {
			g.Recent = append(g.Recent, v1alpha1.LogicalVolumeEntry{Name: name, SizeBytes: size})
		}
	}
	object := &v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: node, ResourceVersion: strconv.FormatUint(w.bump(), 10)},
		Status: v1alpha1.NodeStorageStatus{
			ObservedAt: metav1.NewMicroTime(w.clock.at), VolumeGroups: []v1alpha1.VolumeGroupStatus{g},
			DeviceClasses: []v1alpha1.DeviceClassStatus{{Name: "ssd", VolumeGroup: "vg-ssd", Default: true}},
		},
	}
	w.send(streamReports, func() { w.ledger.ObserveReport(object) })
}

// schedule is one scheduling cycle for a new pod with one or two claims.
func (w *world) schedule() {
	var claims []Claim
	for range 1 + w.rand.IntN(2) {
		w.next++
		c := &simClaim{Claim: claim(strconv.Itoa(w.next), 1+w.rand.Int64N(5))}
		c.ResourceVersion = w.bump()
		w.claims[c.UID] = c
		claims = append(claims, c.Claim)
	}
	w.place(types.UID(fmt.Sprintf("pod-%d", w.next)), claims)
}

func (w *world) place(pod types.UID, claims []Claim) {
	d := demand(claims...)
	for _, node := range []string{"a", "b"} {
		if w.ledger.Evaluate(node, d).Reason != Fits || w.ledger.Reserve(node, pod, d).Reason != Fits {
			continue
		}
		w.placed++
		// Binding: the writes land, or it is given up before, between or after them.
		if w.rand.IntN(4) > 0 {
			w.later(20*time.Second, func() {
				if !w.writeAll(node, claims) {
					w.ledger.Unreserve(node, pod, d, false)
				}
			})
			return
		}
		written := claims[:w.rand.IntN(len(claims)+1)]
		w.later(20*time.Second, func() { w.ledger.Unreserve(node, pod, d, false) })
		w.later(20*time.Second, func() { w.writeAll(node, written) })
		return
	}
}

// writeAll writes selected-node, with the optimistic lock that VolumeBinding has, until one write fails.
func (w *world) writeAll(node string, claims []Claim) bool {
	for _, claim := range claims {
		c := w.claims[claim.UID]
		if c.deleted || c.ResourceVersion != claim.ResourceVersion {
			return false
		}
		c.SelectedNode = node
		w.sendClaim(c)
		w.later(30*time.Second, func() { w.provision(c) })
	}
	return true
}

// provision is CreateVolume, which may have begun before its claim was deleted.
func (w *world) provision(c *simClaim) {
	v := volumeOf(c.Claim, c.SelectedNode, v1alpha1.PhasePending, 0)
	w.volumes[v.Name] = v
	w.sendVolume(v)
	w.later(30*time.Second, func() {
		v.Status.Phase = v1alpha1.PhaseAccepted
		w.sendVolume(v)
		w.later(30*time.Second, func() { w.create(c, v) })
	})
}

// create is lvcreate, and the one place where a wrong promise shows.
func (w *world) create(c *simClaim, v *v1alpha1.LogicalVolume) {
	d := w.disks[v.Spec.NodeName]
	if d.freeBytes() < v.Spec.SizeBytes {
		w.t.Fatalf("volume %s of %d GiB refused on %s: %d GiB free", v.Name, v.Spec.SizeBytes/gib, v.Spec.NodeName, d.freeBytes()/gib)
	}
	d.seqno++
	seqno := d.seqno
	d.lvs[v.Name] = v.Spec.SizeBytes
	d.order = append(d.order, v.Name)
	w.later(30*time.Second, func() {
		v.Status = volumeOf(c.Claim, v.Spec.NodeName, v1alpha1.PhaseReady, seqno).Status
		v.Status.VolumeGroup.UUID = "uuid-" + v.Spec.NodeName
		w.sendVolume(v)
		if !c.deleted {
			c.bound = true
			w.sendClaim(c)
		}
		if c.deleted || w.rand.IntN(2) == 0 {
			w.later(time.Minute, func() { w.remove(c, v) })
		}
	})
}

// remove deletes a claim and then its volume.
func (w *world) remove(c *simClaim, v *v1alpha1.LogicalVolume) {
	w.deleteClaim(c)
	v.Spec.State = v1alpha1.StateAbsent
	w.sendVolume(v)
	w.later(30*time.Second, func() {
		d := w.disks[v.Spec.NodeName]
		delete(d.lvs, v.Name)
		d.seqno++
		w.later(30*time.Second, func() {
			last := v.DeepCopy()
			delete(w.volumes, v.Name)
			w.send(streamVolumes, func() { w.ledger.ForgetVolume(last, true) })
		})
	})
}

func (w *world) deleteClaim(c *simClaim) {
	if !c.deleted {
		c.deleted = true
		w.send(streamClaims, func() { w.ledger.ForgetClaim(c.UID) })
	}
}

// step does one thing by chance.
func (w *world) step() {
	for _, node := range []string{"a", "b"} {
		w.ledger.ObserveLease(node, w.clock.at)
	}
	switch n := w.rand.IntN(12); {
	case n < 2:
		w.schedule()
	case n < 4:
		w.doJob(w.rand.IntN(len(w.jobs) + 1))
	case n < 9:
		w.deliver(w.rand.IntN(len(w.streams)))
	case n < 10:
		w.report([]string{"a", "b"}[w.rand.IntN(2)])
	case n < 11:
		w.pass(time.Duration(w.rand.IntN(4000)) * time.Millisecond)
	default:
		// Somebody deletes a claim whose volume is not made yet.
		if keys := slices.Sorted(maps.Keys(w.claims)); len(keys) > 0 {
			if c := w.claims[keys[w.rand.IntN(len(keys))]]; !c.bound {
				w.deleteClaim(c)
			}
		}
	}
}

func (w *world) doJob(i int) {
	if i < len(w.jobs) {
		j := w.jobs[i]
		w.jobs = slices.Delete(w.jobs, i, i+1)
		j.do()
	}
}

func (w *world) deliver(stream int) {
	if events := w.streams[stream]; len(events) > 0 {
		w.streams[stream] = events[1:]
		events[0]()
	}
}

// pass lets time pass. No step is later than its time, and no event later than a few seconds after it.
func (w *world) pass(d time.Duration) {
	w.clock.add(d)
	for i := 0; i < len(w.jobs); {
		if w.clock.at.After(w.jobs[i].latest) {
			w.doJob(i)
			i = 0
			continue
		}
		i++
	}
	w.ledger.Sweep()
}

// settle lets everything end.
func (w *world) settle() {
	for len(w.jobs) > 0 {
		w.doJob(0)
	}
	w.pass(bridgeFor + time.Minute)
	w.report("a")
	w.report("b")
	for stream := range w.streams {
		for len(w.streams[stream]) > 0 {
			w.deliver(stream)
		}
	}
	w.pass(bridgeFor + time.Minute)
	for _, node := range []string{"a", "b"} {
		w.ledger.ObserveLease(node, w.clock.at)
	}
}

// TestNeverRefused runs worlds in which reports list all, two or none of the volumes.
func TestNeverRefused(t *testing.T) {
	const worlds, steps = 150, 400
	placed := 0
	for seed := range uint64(worlds) {
		w := newWorld(t, seed, []int{64, 2, 0}[seed%3])
		for range steps {
			w.step()
		}
		w.settle()
		for node, d := range w.disks {
			verdict := w.ledger.Evaluate(node, demand(claim("stranger", 1<<30)))
			if verdict.FreeBytes != d.freeBytes() {
				t.Fatalf("world %d, %s: ledger says %d GiB free, the disk has %d", seed, node, verdict.FreeBytes/gib, d.freeBytes()/gib)
			}
		}
		placed += w.placed
	}
	t.Logf("%d pods placed in %d worlds, no volume refused", placed, worlds)
	if placed < worlds {
		t.Errorf("%d pods placed: the worlds are too quiet to prove anything", placed)
	}
}
