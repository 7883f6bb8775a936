package lvm

// DeviceClass is what a StorageClass names: on each node that serves it, the volume group that volumes are taken
// from. Several classes may share a volume group, and with it one number of free bytes.
type DeviceClass struct {
	Name        string
	VolumeGroup string
	// Default is true for the one class that a StorageClass without the deviceClass parameter means.
	Default bool
	// Layout is how the class's volumes lie in the volume group.
	Layout Layout
	// Encryption is EncryptionLUKS2 or empty; what its header takes is in Layout.OverheadBytes.
	Encryption string
}

// EncryptionLUKS2 puts a LUKS2 header of LUKSHeaderBytes before a volume's bytes.
const EncryptionLUKS2 = "luks2"

// LUKSHeaderBytes is the header that cryptsetup makes by default, both copies and the key slots: cryptsetup-luksFormat(8).
const LUKSHeaderBytes = 16 << 20
