package capacity

import (
	"maps"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// simNode is a node: its disk, and the agent.
type simNode struct {
	world  *world
	name   string
	offset time.Duration
	// clockOff: the clock is far off, and the agent knows.
	clockOff bool
	recent   int

	uuid                  string
	seqno                 int64
	sizeBytes, spareBytes int64
	// reserveBytes is what is left of the growth reserve, foreignBytes what others have taken.
	reserveBytes, foreignBytes int64
	lvs                        map[string]int64
	order                      []string
	backup                     *simBackup

	// seen is the agent's last look, published whether it is in the API; looks counts what the looks know.
	seen *v1alpha1.NodeStorage
	// knows is the counter when seen was taken; said and told keep the story short.
	knows      uint64
	said, told int64

	// draws are the bytes that were taken behind the schedulers' backs; lastBlind is the counter at the last placement
	// here that did not know of another.
	draws     []draw
	lastBlind uint64
}

type simBackup struct {
	seqno, foreignBytes int64
	lvs                 map[string]int64
}

// draw is an event that takes bytes without having been promised. A scheduler knows of it from a report taken later
// or, of an expansion, from the order's event.
type draw struct {
	at    uint64
	order int
}

func newSimNode(w *world, index int, size int64, recent int, offset time.Duration) *simNode {
	return &simNode{
		world: w, name: string(rune('a' + index)), offset: offset, recent: recent, uuid: "uuid-" + strconv.Itoa(index),
		sizeBytes: size, spareBytes: gib, reserveBytes: 2 * gib, lvs: map[string]int64{}, seqno: 1,
	}
}

// availableBytes is what the agent gives to new volumes.
func (n *simNode) availableBytes() int64 {
	free := n.sizeBytes - n.foreignBytes - n.spareBytes - n.reserveBytes
	for _, size := range n.lvs {
		free -= size
	}
	return free
}

// fit is the agent's answer to one more volume, or to the growth of one: linear, so that bytes alone decide.
func (n *simNode) fit(size int64) (rounded int64, ok bool) {
	rounded, err := lvm.RoundUp(size, gib)
	return rounded, err == nil && rounded <= n.availableBytes()
}

func (n *simNode) make(id string, size int64) {
	n.seqno++
	n.lvs[id] = size
	n.order = append(slices.DeleteFunc(n.order, func(name string) bool { return name == id }), id)
}

func (n *simNode) remove(id string) {
	n.seqno++
	delete(n.lvs, id)
}

// look takes a report.
func (n *simNode) look() {
	free := n.availableBytes() + n.spareBytes + n.reserveBytes
	g := v1alpha1.VolumeGroupStatus{
		Name: "vg-ssd", Usable: true, UUID: n.uuid, Seqno: n.seqno, ExtentSizeBytes: gib, SizeBytes: n.sizeBytes, FreeBytes: free,
		SpareBytes: n.spareBytes, GrowthReserveBytes: n.reserveBytes,
		PhysicalVolumes: []v1alpha1.PhysicalVolumeStatus{{Name: "/dev/sdb", SizeBytes: n.sizeBytes, FreeBytes: free, Allocatable: true}},
	}
	for _, name := range slices.Backward(n.order) {
		if len(g.Recent) == n.recent {
			break
		}
		if size, ok := n.lvs[name]; ok {
			g.Recent = append(g.Recent, v1alpha1.LogicalVolumeEntry{Name: name, SizeBytes: size})
		}
	}
	offset := n.offset
	n.seen = &v1alpha1.NodeStorage{
		ObjectMeta: metav1.ObjectMeta{Name: n.name},
		Status: v1alpha1.NodeStorageStatus{
			VolumeGroups:  []v1alpha1.VolumeGroupStatus{g},
			DeviceClasses: []v1alpha1.DeviceClassStatus{{Name: "ssd", VolumeGroup: "vg-ssd", Default: true, Layout: v1alpha1.LayoutLinear}},
		},
	}
	if n.clockOff {
		offset += time.Hour
		n.seen.Status.Conditions = []metav1.Condition{{Type: v1alpha1.NodeStorageClockInSync, Status: metav1.ConditionFalse}}
	}
	n.seen.Status.ObservedAt = metav1.NewMicroTime(n.world.now.Add(offset))
	n.knows = n.world.next()
	if n.said != n.seqno {
		n.said = n.seqno
		n.world.say("%s: agent looks: %d GiB to give, seqno %d", n.name, n.availableBytes()/gib, n.seqno)
	}
}

// publish writes the last look.
func (n *simNode) publish() {
	if n.seen == nil {
		return
	}
	n.seen.ResourceVersion = strconv.FormatUint(n.world.next(), 10)
	n.world.reportLog = append(n.world.reportLog, reportEvent{at: n.world.now, node: n, object: n.seen, knows: n.knows})
	n.seen = nil
	if n.told != n.seqno {
		n.told = n.seqno
		n.world.say("%s: report of seqno %d is published", n.name, n.seqno)
	}
}

// unpublish deletes the NodeStorage; the agent makes it again at once.
func (n *simNode) unpublish() {
	n.world.reportLog = append(n.world.reportLog, reportEvent{at: n.world.now, node: n})
	n.world.say("%s: report is deleted", n.name)
	n.look()
}

// grow lets a pool or snapshot grow into the growth reserve.
func (n *simNode) grow(size int64) {
	size = min(size, n.reserveBytes)
	n.reserveBytes -= size
	n.foreignBytes += size
	n.seqno++
	n.world.say("%s: %d GiB of growth, from the reserve", n.name, size/gib)
}

func (n *simNode) extend(size int64) {
	n.sizeBytes += size
	n.seqno++
	n.world.say("%s: vgextend by %d GiB", n.name, size/gib)
}

// drawn notes that bytes were taken behind the schedulers' backs.
func (n *simNode) drawn(order int) { n.draws = append(n.draws, draw{n.world.next(), order}) }

// interfere is the operator at work.
func (n *simNode) interfere(what uint32, size int64) {
	w := n.world
	switch what % 5 {
	case 0, 1:
		size = min(size, n.availableBytes()+n.spareBytes)
		if size <= 0 {
			return
		}
		n.foreignBytes += size
		n.seqno++
		w.say("%s: the operator takes %d GiB", n.name, size/gib)
	case 2:
		n.backup = &simBackup{n.seqno, n.foreignBytes, maps.Clone(n.lvs)}
		w.say("%s: metadata is backed up at seqno %d", n.name, n.seqno)
		return
	case 3:
		if n.backup == nil {
			return
		}
		n.lvs, n.seqno, n.foreignBytes = maps.Clone(n.backup.lvs), n.backup.seqno, n.backup.foreignBytes
		n.adoptStrays()
		w.say("%s: metadata is restored to seqno %d", n.name, n.seqno)
	case 4:
		n.uuid, n.seqno, n.lvs, n.backup = n.uuid+"'", 1, map[string]int64{}, nil
		n.foreignBytes = 0
		w.say("%s: the volume group is made anew", n.name)
	}
	n.drawn(-1)
}

// adoptStrays counts what a restore brought back and nobody wants as others'.
func (n *simNode) adoptStrays() {
	wanted := map[string]bool{}
	for _, c := range n.world.open {
		if c.volume != nil && c.volume.Spec.NodeName == n.name {
			wanted[c.volume.Name] = true
		}
	}
	for id, size := range n.lvs {
		if !wanted[id] {
			n.foreignBytes += size
			delete(n.lvs, id)
		}
	}
}
