package v1alpha1

import "github.com/berth-dev/berth/pkg/lvm"

// IsSnapshot tells a snapshot from a volume for pods.
func (lv *LogicalVolume) IsSnapshot() bool { return lv.Spec.Kind == KindSnapshot }

// HeaderBytes is what of the LV its encryption keeps for itself.
func (s *LogicalVolumeSpec) HeaderBytes() int64 {
	if s.Encryption == EncryptionLUKS2 {
		return lvm.LUKSHeaderBytes
	}
	return 0
}

// UsableBytes is what of the LV pods can use; 0 while it is not made.
func (lv *LogicalVolume) UsableBytes() int64 {
	return max(lv.Status.AllocatedBytes-lv.Spec.HeaderBytes(), 0)
}
