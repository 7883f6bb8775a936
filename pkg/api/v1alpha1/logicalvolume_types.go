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
// +kubebuilder:validation:XValidation:rule="self.spec.sizeBytes >= oldSelf.spec.sizeBytes || (has(self.status) && has(self.status.allocatedBytes) && self.spec.sizeBytes >= self.status.allocatedBytes)",message="spec.sizeBytes: a volume cannot shrink; a refused expansion may be taken back to status.allocatedBytes"
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

// LogicalVolumeSpec is the order. All but state and sizeBytes is immutable.
//
// +kubebuilder:validation:XValidation:rule="oldSelf.state != 'Absent' || self.state == 'Absent'",message="state: a volume ordered Absent cannot be brought back"
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
	// SizeBytes is the size asked for; the LV is this rounded up to whole extents.
	// +kubebuilder:validation:Minimum=1
	SizeBytes int64 `json:"sizeBytes"`
	// FSType is the file system that the agent makes before the volume is Ready: ext4, xfs or btrfs; empty for a
	// block volume.
	// +optional
	// +kubebuilder:validation:Enum="";ext4;xfs;btrfs
	FSType string `json:"fsType,omitempty"`
	// Erase is how the volume's bytes are cleaned before it is Ready.
	// +kubebuilder:default=none
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="erase is immutable"
	// +optional
	Erase EraseMode `json:"erase,omitempty"`
	// ClaimRef is the claim the volume is made for, as far as it is known.
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
	// Staged is set before the first mount or block publication and never cleared: a staged volume holds data.
	// +optional
	Staged bool `json:"staged,omitempty"`
	// ObservedGeneration is the spec's generation that phase, code and allocatedBytes speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Healthy.
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

// LogicalVolumeHealthy is false when the LV or its file system is not where Ready said it is.
const LogicalVolumeHealthy = "Healthy"
