package v1alpha1

// Names that are API for ever: they stand in PersistentVolumes, on Nodes and on disks.
const (
	// DriverName is the CSI driver's and the provisioner's name.
	DriverName = "lvm.berth.dev"
	// TopologyKey labels a Node; its value is TopologyValue of the node's name.
	TopologyKey = "topology.lvm.berth.dev/node"
	// Namespace is where Berth's own workloads, their Leases and the agents' ConfigMap live by default.
	Namespace = "berth-system"
	// AgentLeasePrefix and a node's name make the name of the Lease that the node's agent renews.
	AgentLeasePrefix = "agent-"
)

// Reasons of conditions and events.
const (
	ReasonReady                = "Ready"
	ReasonConfigInvalid        = "ConfigInvalid"
	ReasonVolumeGroupMissing   = "VolumeGroupMissing"
	ReasonVolumeGroupRefused   = "VolumeGroupRefused"
	ReasonPhysicalVolumeLost   = "PhysicalVolumeMissing"
	ReasonReportFailed         = "ReportFailed"
	ReasonClockOff             = "ClockOff"
	ReasonLogicalVolumeLost    = "LogicalVolumeMissing"
	ReasonOrphan               = "OrphanedLogicalVolume"
	ReasonRecovered            = "RecoveredFromDisk"
	ReasonInsufficientSpace    = "InsufficientSpace"
	ReasonLogicalVolumeInUse   = "LogicalVolumeInUse"
	ReasonForeignLogicalVolume = "ForeignLogicalVolume"
	ReasonDeviceRefused        = "DeviceRefused"
	ReasonAdoptionRefused      = "AdoptionRefused"
	ReasonThinPoolMissing      = "ThinPoolMissing"
	ReasonThinPoolNotMade      = "ThinPoolNotMade"
	ReasonThinPoolNearlyFull   = "ThinPoolNearlyFull"
	ReasonThinPoolFull         = "ThinPoolFull"
	ReasonThinPoolReadOnly     = "ThinPoolReadOnly"
	ReasonThinPoolNeedsCheck   = "ThinPoolNeedsCheck"
	ReasonThinPoolFailed       = "ThinPoolFailed"
	ReasonLegLost              = "LegLost"
	ReasonLegRebuilding        = "LegRebuilding"
)
