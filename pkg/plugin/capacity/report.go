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
	// classes maps a device class to its volume group; defaultClass is empty where the node has none.
	classes      map[string]string
	defaultClass string
	groups       map[string]*volumeGroup
	// shaped are the classes whose volumes are not linear: more than a sum of bytes decides whether they fit.
	shaped map[string]struct{}
	// clockOff: the agent's clock is off, so that observedAt would mean nothing; it is zero then.
	clockOff bool
}

// volumeGroup is one volume group of a report.
type volumeGroup struct {
	name, uuid string
	usable     bool
	seqno      int64
	// maxSeqno is the highest seqno seen of this UUID. A lower one now means that the volume group was restored from
	// a backup of its metadata, and seqnos of before say nothing.
	maxSeqno int64
	space    lvm.Space
	// recent maps volume IDs to the sizes with which they are included.
	recent map[string]int64
}

// newReport reads a NodeStorage; previous is the node's last report or nil.
func newReport(object *v1alpha1.NodeStorage, previous *report) *report {
	r := &report{
		version:    ParseVersion(object.ResourceVersion),
		observedAt: object.Status.ObservedAt.Time,
		classes:    make(map[string]string, len(object.Status.DeviceClasses)),
		groups:     make(map[string]*volumeGroup, len(object.Status.VolumeGroups)),
		clockOff:   meta.IsStatusConditionFalse(object.Status.Conditions, v1alpha1.NodeStorageClockInSync),
	}
	if r.clockOff {
		r.observedAt = time.Time{}
	}
	for _, class := range object.Status.DeviceClasses {
		r.classes[class.Name] = class.VolumeGroup
		if class.Layout != "" && class.Layout != v1alpha1.LayoutLinear {
			if r.shaped == nil {
				r.shaped = map[string]struct{}{}
			}
			r.shaped[class.Name] = struct{}{}
		}
		if class.Default {
			r.defaultClass = class.Name
		}
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
	return r
}

func newVolumeGroup(status *v1alpha1.VolumeGroupStatus) *volumeGroup {
	group := &volumeGroup{
		name: status.Name, uuid: status.UUID, seqno: status.Seqno, maxSeqno: status.Seqno,
		// Without an extent size nothing can be rounded, so nothing can be promised.
		usable: status.Usable && status.ExtentSizeBytes > 0,
		space: lvm.Space{
			ExtentSizeBytes: status.ExtentSizeBytes,
			HeldBytes:       lvm.SaturatingAdd(status.SpareBytes, status.GrowthReserveBytes),
		},
		recent: make(map[string]int64, len(status.Recent)),
	}
	for _, pv := range status.PhysicalVolumes {
		if pv.Allocatable && !pv.Missing {
			group.space.PhysicalVolumes = append(group.space.PhysicalVolumes, lvm.FreeSpace{Name: pv.Name, FreeBytes: pv.FreeBytes})
		}
	}
	for _, volume := range status.Recent {
		group.recent[volume.Name] = volume.SizeBytes
	}
	return group
}

// group finds the volume group behind a device class; an empty class is the node's default.
func (r *report) group(class string) (*volumeGroup, bool) {
	if class == "" {
		class = r.defaultClass
	}
	group, ok := r.groups[r.classes[class]]
	return group, ok
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
