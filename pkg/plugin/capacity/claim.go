package capacity

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Claim is one volume that a pod wants and that nobody has made yet.
type Claim struct {
	UID             types.UID
	Namespace, Name string
	// DeviceClass is empty when the node's default class is meant.
	DeviceClass string
	SizeBytes   int64
	// SelectedNode is where the API says the volume is being made; empty while no node is chosen.
	SelectedNode string
	// Origin is what the volume is to be made from.
	Origin Origin
	// ResourceVersion is the claim's when it was read.
	ResourceVersion uint64

	// id is the volume ID where it is at hand.
	id string
}

// VolumeID is the name that csi-provisioner gives the claim's volume by default, and so the LogicalVolume's and the
// LV's.
func (c Claim) VolumeID() string {
	if c.id != "" {
		return c.id
	}
	return volumeID(c.UID)
}

func volumeID(claimUID types.UID) string { return "pvc-" + string(claimUID) }

// Demand is what a pod wants of one node: all of its claims or none. NewDemand makes one that is quick to evaluate.
type Demand struct {
	Claims []Claim
	// StaleAfter is the age of an agent's last sign of life beyond which its node's free bytes are unknown.
	StaleAfter time.Duration
}

// NewDemand makes a demand of claims, which it copies.
func NewDemand(claims []Claim, staleAfter time.Duration) Demand {
	d := Demand{Claims: slices.Clone(claims), StaleAfter: staleAfter}
	for i := range d.Claims {
		d.Claims[i].id = volumeID(d.Claims[i].UID)
	}
	return d
}

// repeatsClass tells whether an earlier claim is of the same device class as claim i.
func (d *Demand) repeatsClass(i int) bool {
	for j := range i {
		if d.Claims[j].DeviceClass == d.Claims[i].DeviceClass {
			return true
		}
	}
	return false
}

// Reason says why a demand does not fit a node.
type Reason int

// Reasons, in the order in which they are looked for.
const (
	// Fits: every claim fits.
	Fits Reason = iota
	// NoReport: the node has no NodeStorage.
	NoReport
	// StaleAgent: the agent's Lease was not renewed in time; what the report says may be long past.
	StaleAgent
	// ClockOff: the agent says that its clock is off by more than v1alpha1.MaxClockOffset; when its report was taken
	// is not known.
	ClockOff
	// ClassNotServed: the node has no such device class, or no default one.
	ClassNotServed
	// LayoutUnknown: the class lays its volumes out in a way that this scheduler cannot compute with.
	LayoutUnknown
	// VolumeGroupUnusable: the agent says that nothing can be made in the volume group.
	VolumeGroupUnusable
	// TooFewBytes: free bytes less promised ones do not suffice.
	TooFewBytes
	// TooFewPhysicalVolumes: they do, but too few physical volumes have enough of them for the class's stripes or copies.
	TooFewPhysicalVolumes
	// Refused: the agent refused the claim's volume, and no report taken later has come yet.
	Refused
)

// Verdict is the answer to a demand on a node.
type Verdict struct {
	Reason Reason
	// DeviceClass and VolumeGroup are what the reason speaks of; empty where it speaks of the whole node.
	DeviceClass, VolumeGroup string
	// WantedBytes and FreeBytes are set with TooFewBytes and TooFewPhysicalVolumes: what the demand takes of VolumeGroup,
	// or virtually of one of its thin pools, and what is there.
	WantedBytes, FreeBytes int64
}

// Left is what a demand would leave on a node.
type Left struct {
	// Classes are the demand's device classes that the node serves, each once.
	Classes []ClassLeft
	// BeingMade is how many volumes of others are promised to the node and not yet Ready. Its agent makes them one
	// after another.
	BeingMade int
}

// ClassLeft is what a demand leaves free in the volume group behind a device class.
type ClassLeft struct {
	DeviceClass string
	LeftBytes   int64
}
