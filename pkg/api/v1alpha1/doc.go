// Package v1alpha1 holds Berth's API objects: NodeStorage, one node's account of its volume groups, and
// LogicalVolume, one volume that is wanted, being made, or there.
//
// Both are cluster-scoped. A NodeStorage has one writer, the agent of the node it is named after. A LogicalVolume's
// spec is written by the controller (and once by an agent that re-creates a lost object from the tags on disk), its
// status by the agent of spec.nodeName. Sizes are int64 bytes; zero means zero, an absent object means unknown.
//
// +kubebuilder:object:generate=true
// +groupName=berth.dev
package v1alpha1
