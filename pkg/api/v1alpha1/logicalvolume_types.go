package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// LogicalVolume is one volume on one node. Its name is the volume ID, which is also the LV's name on disk.
//
// The object's disappearance orders nothing: only spec.state Absent lets the agent remove the LV.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=lv
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.deviceClass`
// +kubebuilder:printcolumn:name="VG",type=string,JSONPath=`.status.volumeGroup.name`
// +kubebuilder:printcolumn:name="Bytes",type=integer,JSONPath=`.status.allocatedBytes`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.spec.claimRef.namespace`
// +kubebuilder:printcolumn:name="Claim",type=string,JSONPath=`.spec.claimRef.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 100",message="the name is an LVM name: 100 characters at most"
// +kubebuilder:validation:XValidation:rule="self.spec.sizeBytes >= oldSelf.spec.sizeBytes || (has(self.status) && has(self.status.allocatedBytes) && self.spec.sizeBytes >= self.status.allocatedBytes - (has(self.spec.encryption) && self.spec.encryption == 'luks2' ? 16777216 : 0))",message="spec.sizeBytes: a volume cannot shrink; a refused expansion may be taken back to status.allocatedBytes less the encryption's header"
type LogicalVolume struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec LogicalVolumeSpec `json:"spec"`
	// +optional
	Status LogicalVolumeStatus `json:"status,omitempty"`
}

// LogicalVolumeList is a list of LogicalVolume.
//
// +kubebuilder:object:root=true
type LogicalVolumeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []LogicalVolume `json:"items"`
}

// VolumeState is what is ordered.
// +kubebuilder:validation:Enum=Present;Absent
type VolumeState string

const (
	// StatePresent orders the LV to exist.
	StatePresent VolumeState = "Present"
	// StateAbsent orders the LV to be removed, for good; it is the only such order.
	StateAbsent VolumeState = "Absent"
)

// EraseMode is what happens to a new volume's bytes before anybody sees them.
// +kubebuilder:validation:Enum=none;discard;zero
type EraseMode string

const (
	// EraseNone wipes signatures only; refused for block volumes.
	EraseNone EraseMode = "none"
	// EraseDiscard tells the device to forget the bytes, which guarantees nothing; refused for block volumes.
	EraseDiscard EraseMode = "discard"
	// EraseZero writes zeros over the whole volume.
	EraseZero EraseMode = "zero"
)

// VolumeKind is what the LV is for.
// +kubebuilder:validation:Enum=Volume;Snapshot
type VolumeKind string

const (
	// KindVolume is a volume for pods.
	KindVolume VolumeKind = "Volume"
	// KindSnapshot is the frozen view of a volume. Nothing mounts it; volumes are restored from it.
	KindSnapshot VolumeKind = "Snapshot"
)

// VolumeSource names where a volume's first bytes come from. It is on the same node.
type VolumeSource struct {
	// Name is a LogicalVolume: of a snapshot the volume it is taken of, of a volume the snapshot that is restored or
	// the volume that is cloned.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	Name string `json:"name"`
}

// Adoption orders that an LV which is on the node already becomes the volume. The LV has the object's name, carries the
// tag berth.dev/adopt, which an operator put on it there, and is not open. Nothing on it is changed.
type Adoption struct {
	// VolumeGroup is where the LV is: that of spec.deviceClass.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=127
	VolumeGroup string `json:"volumeGroup"`
}

// Encryption is what lies between the LV and its file system or pod.
// +kubebuilder:validation:Enum="";luks2
type Encryption string

// EncryptionLUKS2 is a LUKS2 header with a key that the kubelet passes at NodeStage. Header and file system are made at
// the first one: before, nobody has the key.
const EncryptionLUKS2 Encryption = "luks2"

// QualityOfService limits what each pod that uses the volume reads and writes; 0 is no limit.
type QualityOfService struct {
	// +optional
	// +kubebuilder:validation:Minimum=0
	ReadIOPS int64 `json:"readIOPS,omitempty"`
	// +optional
	// +kubebuilder:validation:Minimum=0
	WriteIOPS int64 `json:"writeIOPS,omitempty"`
	// ReadBytesPerSecond and WriteBytesPerSecond are bytes a second.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ReadBytesPerSecond int64 `json:"readBytesPerSecond,omitempty"`
	// +optional
	// +kubebuilder:validation:Minimum=0
	WriteBytesPerSecond int64 `json:"writeBytesPerSecond,omitempty"`
}

// LogicalVolumeSpec is the order. All but state, sizeBytes and qos is immutable.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.state != 'Absent' || self.state == 'Absent'",message="state: a volume ordered Absent cannot be brought back"
// +kubebuilder:validation:XValidation:rule="has(self.source) == has(oldSelf.source) && (!has(self.source) || self.source == oldSelf.source)",message="source is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.mkfsOptions) == has(oldSelf.mkfsOptions) && (!has(self.mkfsOptions) || self.mkfsOptions == oldSelf.mkfsOptions)",message="mkfsOptions is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.encryption) == has(oldSelf.encryption) && (!has(self.encryption) || self.encryption == oldSelf.encryption)",message="encryption is immutable"
// +kubebuilder:validation:XValidation:rule="self.kind != 'Snapshot' || has(self.source)",message="source: a snapshot is of a volume"
// +kubebuilder:validation:XValidation:rule="has(self.adopt) == has(oldSelf.adopt) && (!has(self.adopt) || self.adopt == oldSelf.adopt)",message="adopt is immutable"
// +kubebuilder:validation:XValidation:rule="!has(self.adopt) || (self.kind != 'Snapshot' && !has(self.source) && !has(self.mkfsOptions) && (!has(self.encryption) || self.encryption.size() == 0))",message="adopt: the volume is there as it is: no snapshot, no source, no mkfsOptions, no encryption"
// +kubebuilder:validation:XValidation:rule="has(self.fsType) == has(oldSelf.fsType) && (!has(self.fsType) || self.fsType == oldSelf.fsType)",message="fsType is immutable"
type LogicalVolumeSpec struct {
	// NodeName is the node the volume is on.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="nodeName is immutable"
	NodeName string `json:"nodeName"`
	// DeviceClass names a device class of that node; never empty (the controller resolves the default).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="deviceClass is immutable"
	DeviceClass string `json:"deviceClass"`
	// Kind is Volume or Snapshot.
	// +kubebuilder:default=Volume
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="kind is immutable"
	// +optional
	Kind VolumeKind `json:"kind,omitempty"`
	// SizeBytes is the size asked for; the LV is this rounded up to whole extents. Of a snapshot outside a thin pool it
	// is what the changes of its volume may come to.
	// +kubebuilder:validation:Minimum=1
	SizeBytes int64 `json:"sizeBytes"`
	// FSType is the file system that the agent makes before the volume is Ready: ext4, xfs or btrfs; empty for a
	// block volume.
	// +optional
	// +kubebuilder:validation:Enum="";ext4;xfs;btrfs
	FSType string `json:"fsType,omitempty"`
	// MkfsOptions are given to mkfs besides the agent's own, as lvm.ParseMkfsOptions allows them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	MkfsOptions []string `json:"mkfsOptions,omitempty"`
	// Encryption is luks2 or empty.
	// +optional
	Encryption Encryption `json:"encryption,omitempty"`
	// Source is where the first bytes come from; without it they are erased and formatted.
	// +optional
	Source *VolumeSource `json:"source,omitempty"`
	// Adopt makes a volume of an LV that is there, instead of a new one.
	// +optional
	Adopt *Adoption `json:"adopt,omitempty"`
	// QoS may change at any time.
	// +optional
	QoS *QualityOfService `json:"qos,omitempty"`
	// Erase is how the volume's bytes are cleaned before it is Ready.
	// +kubebuilder:default=none
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="erase is immutable"
	// +optional
	Erase EraseMode `json:"erase,omitempty"`
	// ClaimRef is the claim the volume is made for, as far as it is known; of a snapshot the VolumeSnapshot.
	// +optional
	ClaimRef ClaimReference `json:"claimRef,omitempty"`
	// State is Present until DeleteVolume (or an operator) sets Absent.
	// +kubebuilder:default=Present
	// +optional
	State VolumeState `json:"state,omitempty"`
}

// ClaimReference names a PersistentVolumeClaim. UID is taken from the volume's CSI name and empty when that is not
// of the form pvc-<uid>.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="claimRef is immutable"
type ClaimReference struct {
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// +kubebuilder:validation:MaxLength=253
	Name string    `json:"name,omitempty"`
	UID  types.UID `json:"uid,omitempty"`
}

// VolumePhase is how far the agent has come.
// +kubebuilder:validation:Enum="";Accepted;Ready;Failed
type VolumePhase string

const (
	// PhasePending: the agent has not taken the work; the controller may withdraw the object.
	PhasePending VolumePhase = ""
	// PhaseAccepted: the agent took the work (one status update with resourceVersion) before it touched LVM.
	PhaseAccepted VolumePhase = "Accepted"
	// PhaseReady: the LV is there, clean and formatted. The agent never creates or formats it again.
	PhaseReady VolumePhase = "Ready"
	// PhaseFailed: refused for good, nothing is on disk; the object may be deleted. Code says why.
	PhaseFailed VolumePhase = "Failed"
)

// LogicalVolumeStatus is the agent's answer.
type LogicalVolumeStatus struct {
	// +optional
	Phase VolumePhase `json:"phase,omitempty"`
	// Code is the gRPC code's name of the last failure (ResourceExhausted, InvalidArgument, Aborted, …); empty when
	// the last step succeeded. With phase Failed it is the answer to CreateVolume.
	// +optional
	Code string `json:"code,omitempty"`
	// Message is the last failure in words.
	// +optional
	Message string `json:"message,omitempty"`
	// AllocatedBytes is the LV's size as read back from LVM.
	// +optional
	AllocatedBytes int64 `json:"allocatedBytes,omitempty"`
	// VolumeGroup is where the LV is, and the first seqno that includes it at AllocatedBytes.
	// +optional
	VolumeGroup VolumeGroupReference `json:"volumeGroup,omitempty"`
	// SourceBytes is the size of the view that a snapshot gives: a volume restored from it is at least as large.
	// +optional
	SourceBytes int64 `json:"sourceBytes,omitempty"`
	// CopiedBytes is how much of its source a volume holds durably while it is copied.
	// +optional
	CopiedBytes int64 `json:"copiedBytes,omitempty"`
	// CopiedFrom names what CopiedBytes counts: the UUIDs of the LVs read and written, joined by a slash. Between any
	// others nothing has been copied.
	// +optional
	CopiedFrom string `json:"copiedFrom,omitempty"`
	// Staged is set before the first mount or block publication and never cleared: a staged volume holds data.
	// +optional
	Staged bool `json:"staged,omitempty"`
	// ObservedGeneration is the spec's generation that phase, code and allocatedBytes speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Healthy, Redundant, PoolHealthy, SnapshotValid; all but the first only where they apply.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// VolumeGroupReference is a volume group at a moment of its life.
type VolumeGroupReference struct {
	Name  string `json:"name,omitempty"`
	UUID  string `json:"uuid,omitempty"`
	Seqno int64  `json:"seqno,omitempty"`
}

// Condition types of LogicalVolume.
const (
	// LogicalVolumeHealthy is false when the LV or its file system is not where Ready said it is.
	LogicalVolumeHealthy = "Healthy"
	// LogicalVolumeRedundant, of a volume with copies or parity, is false while a leg is lost or being rebuilt.
	LogicalVolumeRedundant = "Redundant"
	// LogicalVolumePoolHealthy, of a thin volume, is false while its pool is nearly full, full or damaged.
	LogicalVolumePoolHealthy = "PoolHealthy"
	// LogicalVolumeSnapshotValid, of a snapshot, is false when its changes overflowed it: its bytes are lost. Its message
	// warns before.
	LogicalVolumeSnapshotValid = "SnapshotValid"
)
