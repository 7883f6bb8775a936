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
	// one in the file), ClockInSync (observedAt means what others read from it), DevicesUsable (every disk and file that
	// the configuration gives to a volume group is in it; absent where it gives none).
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
	// +optional
	// +listType=map
	// +listMapKey=name
	ThinPools []ThinPoolStatus `json:"thinPools,omitempty"`
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

// ThinPoolStatus is one thin pool of a volume group. All sizes are bytes.
type ThinPoolStatus struct {
	Name string `json:"name"`
	// SizeBytes and DataUsedBytes are of the pool's data, MetadataSizeBytes and MetadataUsedBytes of its metadata.
	SizeBytes         int64 `json:"sizeBytes"`
	DataUsedBytes     int64 `json:"dataUsedBytes"`
	MetadataSizeBytes int64 `json:"metadataSizeBytes"`
	MetadataUsedBytes int64 `json:"metadataUsedBytes"`
	// VirtualBytes are the sizes of all thin volumes in the pool, added up.
	VirtualBytes int64 `json:"virtualBytes"`
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

// LayoutType is how a logical volume's extents lie on the physical volumes: pkg/lvm, LayoutType.
// +kubebuilder:validation:Enum="";linear;striped;raid1;raid5;raid6;raid10;thin
type LayoutType string

// LayoutLinear takes extents anywhere. It is what an empty layout means.
const LayoutLinear LayoutType = "linear"

// DeviceClassStatus is a device class that this node serves. A layout that a reader does not know, or whose fields make
// none, makes the class unusable for that reader: another layout takes other bytes.
type DeviceClassStatus struct {
	Name        string `json:"name"`
	VolumeGroup string `json:"volumeGroup"`
	// Default is true for the class that StorageClasses without the parameter deviceClass mean.
	Default bool `json:"default,omitempty"`
	// +optional
	Layout LayoutType `json:"layout,omitempty"`
	// Stripes is the number of physical volumes that the bytes are spread over, parity not counted: striped, raid5,
	// raid6, raid10.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Stripes int32 `json:"stripes,omitempty"`
	// StripeSizeBytes is what goes to one of them before the next; LVM's own choice if 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	StripeSizeBytes int64 `json:"stripeSizeBytes,omitempty"`
	// Mirrors is the number of copies: raid1, raid10.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Mirrors int32 `json:"mirrors,omitempty"`
	// ThinPool names the thin pool of layout thin.
	// +optional
	ThinPool string `json:"thinPool,omitempty"`
	// OverprovisionPercent is how much of the thin pool's size its volumes may come to together: 500 for five times.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OverprovisionPercent int64 `json:"overprovisionPercent,omitempty"`
	// OverheadBytes are added to the size that each volume asks for.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OverheadBytes int64 `json:"overheadBytes,omitempty"`
	// Encryption is that of the class's volumes; empty for none. Its header is in OverheadBytes.
	// +optional
	Encryption Encryption `json:"encryption,omitempty"`
}

// Condition types of NodeStorage.
const (
	// NodeStorageReady is true when every configured volume group is usable and the last report succeeded.
	NodeStorageReady = "Ready"
	// NodeStorageConfigValid is false when the configuration file was refused and an older one is in force.
	NodeStorageConfigValid = "ConfigValid"
	// NodeStorageClockInSync is false when the agent's clock is off from the API server's by more than MaxClockOffset.
	NodeStorageClockInSync = "ClockInSync"
	// NodeStorageDevicesUsable is false when the configuration gives a disk or a file to a volume group that is not put
	// into it, a disk that is not empty for instance. It is not there when the configuration gives none.
	NodeStorageDevicesUsable = "DevicesUsable"
)

// MaxClockOffset is how far an agent's clock may be from the API server's. Who compares times of NodeStorages with
// others relies on it, and takes a report whose clock is off for none.
const MaxClockOffset = 5 * time.Second
