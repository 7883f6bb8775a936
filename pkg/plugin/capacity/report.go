package capacity

import (
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// report is what a NodeStorage says, in the form that decisions read. It is not changed once made.
type report struct {
	version    uint64
	observedAt time.Time
	// classes are the device classes by name; defaultClass is empty where the node has none.
	classes      map[string]deviceClass
	defaultClass string
	groups       map[string]*volumeGroup
	// clockOff: the agent's clock is off, so that observedAt would mean nothing; it is zero then.
	clockOff bool
}

// deviceClass is where a class's volumes go on the node, and how. It is comparable.
type deviceClass struct {
	group  string
	layout lvm.Layout
	// known is false for a layout that this scheduler's arithmetic does not know.
	known bool
}

// volumeGroup is one volume group of a report.
type volumeGroup struct {
	name, uuid string
	usable     bool
	seqno      int64
	// maxSeqno is the highest seqno seen of this UUID. A lower one now means that the volume group was restored from
	// a backup of its metadata, and seqnos of before say nothing.
	maxSeqno int64
	space    *lvm.Space
	// recent maps volume IDs to the sizes with which they are included.
	recent map[string]int64
}

// newReport reads a NodeStorage; previous is the node's last report or nil.
func newReport(object *v1alpha1.NodeStorage, previous *report) *report {
	r := &report{
		version:    ParseVersion(object.ResourceVersion),
		observedAt: object.Status.ObservedAt.Time,
		classes:    make(map[string]deviceClass, len(object.Status.DeviceClasses)),
		groups:     make(map[string]*volumeGroup, len(object.Status.VolumeGroups)),
		clockOff:   meta.IsStatusConditionFalse(object.Status.Conditions, v1alpha1.NodeStorageClockInSync),
	}
	if r.clockOff {
		r.observedAt = time.Time{}
	}
	for i := range object.Status.VolumeGroups {
		group := newVolumeGroup(&object.Status.VolumeGroups[i])
		if previous != nil {
			if old := previous.groups[group.name]; old != nil && old.uuid == group.uuid {
				group.maxSeqno = max(group.maxSeqno, old.maxSeqno)
			}
		}
		r.groups[group.name] = group
	}
	for i := range object.Status.DeviceClasses {
		r.addClass(&object.Status.DeviceClasses[i])
	}
	return r
}

func (r *report) addClass(status *v1alpha1.DeviceClassStatus) {
	class := deviceClass{group: status.VolumeGroup, layout: status.VolumeLayout()}
	class.known = class.layout.Validate() == nil
	r.classes[status.Name] = class
	if status.Default {
		r.defaultClass = status.Name
	}
	if group := r.groups[class.group]; group != nil && class.layout.Legs() > 0 {
		group.space.Legs = true
	}
}

func newVolumeGroup(status *v1alpha1.VolumeGroupStatus) *volumeGroup {
	group := &volumeGroup{
		name: status.Name, uuid: status.UUID, seqno: status.Seqno, maxSeqno: status.Seqno,
		// Without an extent size nothing can be rounded, so nothing can be promised.
		usable: status.Usable && status.ExtentSizeBytes > 0,
		space:  status.Space(),
		recent: make(map[string]int64, len(status.Recent)),
	}
	for _, volume := range status.Recent {
		group.recent[volume.Name] = volume.SizeBytes
	}
	return group
}

// group finds the volume group behind a device class; an empty class is the node's default.
func (r *report) group(class string) (*volumeGroup, bool) {
	group, ok := r.groups[r.class(class).group]
	return group, ok
}

// class finds a device class; the zero value is of a class that is not served.
func (r *report) class(name string) deviceClass {
	if name == "" {
		name = r.defaultClass
	}
	return r.classes[name]
}

// request is what a promise asks of its volume group beyond what the report includes; false when that is nothing. What a
// volume grows by whose class is not served any more counts as linear; a new one there is refused, so it asks nothing.
func (r *report) request(id string, p *promise) (*volumeGroup, lvm.Request, bool) {
	group, size := p.groupOf(id, r)
	if group == nil || !group.usable {
		return nil, lvm.Request{}, false
	}
	_, class, _ := p.held()
	request := lvm.Request{SizeBytes: size, IncludedBytes: p.includedBytes(id, group, r.observedAt), Layout: r.class(class).layout}
	v := p.speaker()
	if v != nil && v.snapshot {
		request.Layout = request.Layout.Snapshot()
	}
	if v != nil && v.growthRefused && request.IncludedBytes >= v.allocatedBytes {
		return nil, lvm.Request{}, false
	}
	return group, request, request.MissingBytes(group.space.ExtentSizeBytes) > 0
}

// ParseVersion reads a resourceVersion, which kube-apiserver promises to be a decimal number that grows. Anything
// else is 0, older than all.
func ParseVersion(resourceVersion string) uint64 {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return version
}
