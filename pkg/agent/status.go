package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// recentMax bounds VolumeGroupStatus.Recent, as its documentation says.
const recentMax = 64

// buildStatus says what a sighting means under a configuration. Conditions are left out.
// recent, orphans and pools give a volume group's lists.
func buildStatus(config Config, s sighting, recent func(vg string) []string, orphans func(vg string) []v1alpha1.OrphanEntry,
	pools func(vg lvm.VolumeGroup) []v1alpha1.ThinPoolStatus,
) v1alpha1.NodeStorageStatus {
	status := v1alpha1.NodeStorageStatus{ObservedAt: metav1.NewMicroTime(s.at)}
	var size, free int64
	for _, c := range config.VolumeGroups {
		vg := volumeGroupStatus(c, s)
		if o := s.groups[c.Name]; o.found {
			vg.Recent = recentEntries(o.vg, recent(c.Name))
			vg.Orphans = orphans(c.Name)
			vg.ThinPools = pools(o.vg)
			status.Summary.Volumes += volumesIn(o.vg)
		}
		size = lvm.SaturatingAdd(size, vg.SizeBytes)
		free = lvm.SaturatingAdd(free, availableBytes(vg))
		status.VolumeGroups = append(status.VolumeGroups, vg)
	}
	for _, class := range config.DeviceClasses {
		status.DeviceClasses = append(status.DeviceClasses, v1alpha1.NewDeviceClassStatus(class))
	}
	status.Summary.Size, status.Summary.Free = humanBytes(size), humanBytes(free)
	return status
}

func volumeGroupStatus(c VolumeGroupConfig, s sighting) v1alpha1.VolumeGroupStatus {
	status := v1alpha1.VolumeGroupStatus{Name: c.Name, SpareBytes: c.SpareBytes, GrowthReserveBytes: c.GrowthReserveBytes}
	o, asked := s.groups[c.Name]
	if !o.found {
		status.Reason, status.Message = v1alpha1.ReasonVolumeGroupMissing, fmt.Sprintf("volume group %s is not on this node", c.Name)
		if !asked {
			status.Reason, status.Message = v1alpha1.ReasonReportFailed, "LVM has not reported yet"
		}
		return status
	}
	vg := o.vg
	status.UUID, status.Seqno, status.ExtentSizeBytes = vg.UUID, vg.Seqno, vg.ExtentSizeBytes
	status.SizeBytes, status.FreeBytes, status.MetadataFreeBytes = vg.SizeBytes, vg.FreeBytes, vg.MetadataFreeBytes
	status.Usable, status.Reason, status.Message = usability(vg)
	missing := 0
	for _, pv := range vg.PhysicalVolumes {
		entry := v1alpha1.PhysicalVolumeStatus{
			Name: pv.Name, UUID: pv.UUID, SizeBytes: pv.SizeBytes, FreeBytes: pv.FreeBytes, Allocatable: pv.Allocatable, Missing: pv.Missing,
		}
		// LVM calls every missing physical volume [unknown]; the list's key is the name.
		if pv.Missing {
			missing++
			entry.Name = fmt.Sprintf("missing-%d", missing)
		}
		status.PhysicalVolumes = append(status.PhysicalVolumes, entry)
	}
	return status
}

func usability(vg lvm.VolumeGroup) (usable bool, reason, message string) {
	switch {
	case vg.Refusal != "":
		return false, v1alpha1.ReasonVolumeGroupRefused, fmt.Sprintf("volume group %s is not used: %s", vg.Name, vg.Refusal)
	case vg.MissingPhysicalVolumes > 0:
		return false, v1alpha1.ReasonPhysicalVolumeLost,
			fmt.Sprintf("volume group %s misses %d of %d physical volumes", vg.Name, vg.MissingPhysicalVolumes, len(vg.PhysicalVolumes))
	}
	return true, "", ""
}

// availableBytes is what new volumes can take of a volume group: free bytes of open physical volumes less the held
// ones, 0 if it is not usable.
func availableBytes(vg v1alpha1.VolumeGroupStatus) int64 {
	if !vg.Usable {
		return 0
	}
	return vg.Space().FreeBytes()
}

// recentEntries are the newest of the LVs named that are there.
func recentEntries(vg lvm.VolumeGroup, newestFirst []string) []v1alpha1.LogicalVolumeEntry {
	var entries []v1alpha1.LogicalVolumeEntry
	for _, name := range newestFirst {
		if len(entries) == recentMax {
			break
		}
		if lv, ok := vg.LogicalVolume(name); ok {
			// What a volume is growing by is taken for it already: counted twice it would keep others out.
			entries = append(entries, v1alpha1.LogicalVolumeEntry{Name: name, SizeBytes: lv.SizeBytes + helperBytes(vg, name)})
		}
	}
	return entries
}

// conditions says whether all is well, besides the others given. Their transition times are those of old where nothing
// changed; old ones that are not among them go.
func conditions(old []metav1.Condition, status v1alpha1.NodeStorageStatus, problems []problem, configErr, reportErr error, others ...metav1.Condition) []metav1.Condition {
	ready := metav1.Condition{Type: v1alpha1.NodeStorageReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	var messages []string
	for _, vg := range status.VolumeGroups {
		if !vg.Usable {
			ready.Status, ready.Reason = metav1.ConditionFalse, vg.Reason
			messages = append(messages, vg.Message)
		}
	}
	for _, problem := range problems {
		ready.Status, ready.Reason = metav1.ConditionFalse, problem.reason
		messages = append(messages, problem.message)
	}
	if reportErr != nil {
		ready.Status, ready.Reason = metav1.ConditionFalse, v1alpha1.ReasonReportFailed
		messages = append(messages, reportErr.Error())
	}
	valid := metav1.Condition{Type: v1alpha1.NodeStorageConfigValid, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	if configErr != nil {
		valid.Status, valid.Reason, valid.Message = metav1.ConditionFalse, v1alpha1.ReasonConfigInvalid, configErr.Error()
		if len(status.VolumeGroups) == 0 {
			ready.Status, ready.Reason = metav1.ConditionFalse, v1alpha1.ReasonConfigInvalid
			messages = append(messages, "no configuration has been valid yet")
		}
	}
	ready.Message = clip(strings.Join(messages, "; "))
	valid.Message = clip(valid.Message)
	wanted := append([]metav1.Condition{ready, valid}, others...)
	result := slices.DeleteFunc(slices.Clone(old), func(c metav1.Condition) bool { return meta.FindStatusCondition(wanted, c.Type) == nil })
	for _, condition := range wanted {
		setCondition(&result, condition)
	}
	slices.SortFunc(result, func(a, b metav1.Condition) int { return cmp.Compare(a.Type, b.Type) })
	return result
}

// clip keeps a message within what a condition takes (32768 bytes) and people read.
func clip(message string) string {
	const most = 1024
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "…"
}

// humanBytes writes bytes with a binary suffix and at most one digit after the point.
func humanBytes(bytes int64) string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + units[unit]
}

// exactBytes writes bytes for messages: exact, and readable where they are a round number.
func exactBytes(bytes int64) string {
	return resource.NewQuantity(bytes, resource.BinarySI).String()
}
