// Package csi serves the Container Storage Interface: Identity and Controller beside the sidecars, Identity and Node
// on every node.
//
// The controller turns calls into LogicalVolume objects and waits for what the node's agent makes of them; it never
// decides whether a volume fits. The node service mounts what the agent has made; it never formats. Whatever fails
// becomes a gRPC code in status.go and nowhere else, because the code decides what happens to the pod: placed
// elsewhere, retried on the same node, or stuck until somebody looks.
//
// Every call may come twice, alone, or after a crash. Calls for one volume exclude each other: the second is Aborted.
package csi
