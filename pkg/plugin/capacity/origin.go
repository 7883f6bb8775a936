package capacity

import (
	"fmt"
	"maps"
	"slices"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// Origin is what a claim's volume is to be made from, on the node where that is; the zero value is nothing.
type Origin struct {
	// Namespace and Snapshot name a VolumeSnapshot.
	Namespace, Snapshot string
	// VolumeID is a volume that is to be copied.
	VolumeID string
}

func (s Origin) String() string {
	if s.VolumeID != "" {
		return fmt.Sprintf("volume %q", s.VolumeID)
	}
	return fmt.Sprintf("volumesnapshot %q", s.Snapshot)
}

// OriginNodes are the nodes that hold an origin; none while none is known to. A VolumeSnapshot is found by the name that
// its LogicalVolume was made for, as soon as that is ordered, and by what VolumeSnapshotContents say, which is all there
// is of a snapshot that was given another name. Of one that was deleted and made again there may be two for a while: the
// controller has a claim that came to the wrong node placed again.
func (l *Ledger) OriginNodes(s Origin) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.originNodes(s)
}

// originNodes is OriginNodes; the caller holds mu.
func (l *Ledger) originNodes(s Origin) []string {
	var nodes []string
	for _, id := range l.originIDs(s) {
		nodeName, ok := l.volumes[id]
		if !ok {
			continue
		}
		v := l.nodes[nodeName].promises[id].volume
		if v.failed || v.absent || v.snapshot != (s.VolumeID == "") || slices.Contains(nodes, nodeName) {
			continue
		}
		nodes = append(nodes, nodeName)
	}
	return nodes
}

// originIDs are the LogicalVolumes that an origin may be. Caller holds mu.
func (l *Ledger) originIDs(s Origin) []string {
	if s.VolumeID != "" {
		return []string{s.VolumeID}
	}
	return slices.AppendSeq(slices.Clone(l.snapshots[s]), maps.Values(l.handles[s]))
}

// noteOrigin enters the LogicalVolume of a snapshot under the VolumeSnapshot's name, and lets waiting pods look at the
// node of a new object that they are to be made from. Caller holds mu for writing.
func (l *Ledger) noteOrigin(object *v1alpha1.LogicalVolume) {
	origin := originOf(object)
	if origin.VolumeID == "" && !slices.Contains(l.snapshots[origin], object.Name) {
		l.snapshots[origin] = append(l.snapshots[origin], object.Name)
	}
	if l.sought(object.Name) {
		l.improve(object.Spec.NodeName)
	}
}

// sought tells whether a waiting pod is to be made from a LogicalVolume. Caller holds mu.
func (l *Ledger) sought(id string) bool {
	if l.seekers == 0 {
		return false
	}
	for _, w := range l.waiters {
		for i := range w.demand.Claims {
			if s := w.demand.Claims[i].Origin; s != (Origin{}) && slices.Contains(l.originIDs(s), id) {
				return true
			}
		}
	}
	return false
}

// dropOrigin takes a LogicalVolume out again. Caller holds mu for writing.
func (l *Ledger) dropOrigin(id string, v *volume) {
	if v == nil || !v.snapshot {
		return
	}
	left := slices.DeleteFunc(l.snapshots[v.origin], func(other string) bool { return other == id })
	if len(left) == 0 {
		delete(l.snapshots, v.origin)
	} else {
		l.snapshots[v.origin] = left
	}
}

// originOf is the name under which a LogicalVolume is looked for.
func originOf(object *v1alpha1.LogicalVolume) Origin {
	if object.IsSnapshot() {
		return Origin{Namespace: object.Spec.ClaimRef.Namespace, Snapshot: object.Spec.ClaimRef.Name}
	}
	return Origin{VolumeID: object.Name}
}

// hasOrigin tells whether one of the claims is to be made from anything.
func (d *Demand) hasOrigin() bool {
	return slices.ContainsFunc(d.Claims, func(c Claim) bool { return c.Origin != Origin{} })
}

// hold is what copying another volume takes, until it is copied, besides the new one: outside a thin pool what changes in it
// meanwhile is kept. The agent fits both together.
func (n *node) hold(claim *Claim) (*volumeGroup, lvm.Request, bool) {
	p := n.promises[claim.Origin.VolumeID]
	if claim.Origin.VolumeID == "" || p == nil || p.volume == nil {
		return nil, lvm.Request{}, false
	}
	v := p.volume
	group := n.report.groupByUUID(v.group.Name, v.group.UUID)
	if group == nil || !group.usable || v.allocatedBytes == 0 || n.report.class(v.deviceClass).layout.Type == lvm.LayoutThin {
		return nil, lvm.Request{}, false
	}
	size := lvm.HoldBytes(v.allocatedBytes, group.space.ExtentSizeBytes)
	return group, lvm.Request{SizeBytes: size, Layout: lvm.Layout{Type: lvm.LayoutLinear}}, true
}

// mayGo tells whether every claim's selected-node, where it has one, and the node of its origin is this node. Caller
// holds mu.
func (l *Ledger) mayGo(d *Demand, nodeName string) bool {
	for i := range d.Claims {
		claim := &d.Claims[i]
		if claim.SelectedNode != "" && claim.SelectedNode != nodeName {
			return false
		}
		if (claim.Origin != Origin{}) && !slices.Contains(l.originNodes(claim.Origin), nodeName) {
			return false
		}
	}
	return true
}
