package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeStorage is one node's account of its volume groups and the device classes it serves. Its name is the Node's
// name, its owner the Node; the node's agent is its only writer.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=nst
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.summary.size`,description="Size of all volume groups served"
// +kubebuilder:printcolumn:name="Free",type=string,JSONPath=`.status.summary.free`,description="Bytes that new volumes can take, of all volume groups served"
// +kubebuilder:printcolumn:name="Volumes",type=integer,JSONPath=`.status.summary.volumes`,description="Logical volumes of Berth on this node"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Observed",type=date,JSONPath=`.status.observedAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeStorage struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status NodeStorageStatus `json:"status,omitempty"`
}

// NodeStorageList is a list of NodeStorage.
//
// +kubebuilder:object:root=true
type NodeStorageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []NodeStorage `json:"items"`
}

// NodeStorageStatus is one atomic observation of a node's LVM, and what the agent's configuration makes of it.
type NodeStorageStatus struct {
	// ObservedAt is the agent's clock just before the LVM report command started: what happened to LVM before this
	// moment is in the report.
	// +optional
	ObservedAt metav1.MicroTime `json:"observedAt,omitempty"`
	// Summary is for people; nothing computes with it.
	// +optional
	Summary StorageSummary `json:"summary,omitempty"`
	// VolumeGroups are the configured volume groups, found or not, in the configuration's order.
	// +optional
	// +listType=map
	// +listMapKey=name
	VolumeGroups []VolumeGroupStatus `json:"volumeGroups,omitempty"`
	// DeviceClasses are the classes this node serves. A class that is not listed does not exist here.
	// +optional
	// +listType=map
	// +listMapKey=name
	DeviceClasses []DeviceClassStatus `json:"deviceClasses,omitempty"`
	// Conditions: Ready (every configured volume group is usable), ConfigValid (the configuration in force is the
	// one in the file), ClockInSync (observedAt means what others read from it).
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// StorageSummary is the printer columns' text.
type StorageSummary struct {
	Size    string `json:"size,omitempty"`
	Free    string `json:"free,omitempty"`
	Volumes int32  `json:"volumes"`
}

// VolumeGroupStatus is one volume group as LVM reported it. All sizes are bytes.
type VolumeGroupStatus struct {
	Name string `json:"name"`
	// Usable is false when new volumes cannot be made here; Reason and Message say why (VolumeGroupMissing,
	// PhysicalVolumeMissing, VolumeGroupRefused). Volumes that exist are served all the same.
	Usable  bool   `json:"usable"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`

	// UUID is LVM's vg_uuid; empty when the volume group is missing.
	UUID string `json:"uuid,omitempty"`
	// Seqno is LVM's vg_seqno, which grows with every metadata change and goes back only by vgcfgrestore.
	Seqno           int64 `json:"seqno,omitempty"`
	ExtentSizeBytes int64 `json:"extentSizeBytes,omitempty"`
	SizeBytes       int64 `json:"sizeBytes,omitempty"`
	// FreeBytes is what LVM says is unallocated, spare and growth reserve included.
	FreeBytes int64 `json:"freeBytes,omitempty"`
	// SpareBytes is never given out.
	SpareBytes int64 `json:"spareBytes,omitempty"`
	// GrowthReserveBytes is held back for growth that the agent makes (thin pools, snapshots).
	GrowthReserveBytes int64 `json:"growthReserveBytes,omitempty"`
	// MetadataFreeBytes is what is left of the smallest metadata area (vg_mda_free).
	MetadataFreeBytes int64 `json:"metadataFreeBytes,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=name
	PhysicalVolumes []PhysicalVolumeStatus `json:"physicalVolumes,omitempty"`
	// Recent lists Berth's logical volumes made or resized last, newest first, 64 at most. A listed volume is
	// included in FreeBytes with the size given here.
	// +optional
	// +listType=map
	// +listMapKey=name
	Recent []LogicalVolumeEntry `json:"recent,omitempty"`
	// Orphans lists logical volumes that carry Berth's tag and have no LogicalVolume object that names this node.
	// They are never removed without an order.
	// +optional
	// +listType=map
	// +listMapKey=name
	Orphans []OrphanEntry `json:"orphans,omitempty"`
}

// PhysicalVolumeStatus is one physical volume of a volume group, by device name.
type PhysicalVolumeStatus struct {
	Name string `json:"name"`
	UUID string `json:"uuid,omitempty"`
	// SizeBytes and FreeBytes count whole extents.
	SizeBytes int64 `json:"sizeBytes"`
	FreeBytes int64 `json:"freeBytes"`
	// Allocatable is false when the operator closed the physical volume to new extents (pvchange -x n).
	Allocatable bool `json:"allocatable"`
	// Missing is true when LVM cannot find the device.
	Missing bool `json:"missing,omitempty"`
}

// LogicalVolumeEntry is a logical volume of Berth's and its allocated size in bytes.
type LogicalVolumeEntry struct {
	Name      string `json:"name"`
	SizeBytes int64  `json:"sizeBytes"`
}

// OrphanEntry is a logical volume of Berth's that nothing in the API orders to exist or to go.
type OrphanEntry struct {
	Name      string `json:"name"`
	SizeBytes int64  `json:"sizeBytes"`
	// Claim is namespace/name from the volume's tag; empty when it carries none.
	Claim string `json:"claim,omitempty"`
	// Message says why no object could be made from the tags.
	Message string `json:"message,omitempty"`
}

// LayoutType is how a logical volume's extents lie on the physical volumes.
// +kubebuilder:validation:Enum=linear
type LayoutType string

// LayoutLinear fills extents one physical volume after another.
const LayoutLinear LayoutType = "linear"

// DeviceClassStatus is a device class that this node serves.
type DeviceClassStatus struct {
	Name        string `json:"name"`
	VolumeGroup string `json:"volumeGroup"`
	// Default is true for the class that StorageClasses without the parameter deviceClass mean.
	Default bool       `json:"default,omitempty"`
	Layout  LayoutType `json:"layout"`
}

// Condition types of NodeStorage.
const (
	// NodeStorageReady is true when every configured volume group is usable and the last report succeeded.
	NodeStorageReady = "Ready"
	// NodeStorageConfigValid is false when the configuration file was refused and an older one is in force.
	NodeStorageConfigValid = "ConfigValid"
	// NodeStorageClockInSync is false when the agent's clock is off from the API server's by more than MaxClockOffset.
	NodeStorageClockInSync = "ClockInSync"
)

// MaxClockOffset is how far an agent's clock may be from the API server's. Who compares times of NodeStorages with
// others relies on it, and takes a report whose clock is off for none.
const MaxClockOffset = 5 * time.Second
