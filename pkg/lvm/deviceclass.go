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
}
