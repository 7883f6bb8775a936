// Package plugin is VolumeGroupCapacity, a kube-scheduler plugin that places pods by the free bytes of the nodes'
// volume groups.
//
// PreFilter turns a pod into a demand: the sizes and device classes of its unbound claims of our provisioner. Filter
// drops the nodes where the demand does not fit, Score ranks the others by the bytes left, Reserve promises the bytes
// under the ledger's lock. The ledger is package capacity; what a promise becomes in the API is VolumeBinding's part,
// whose PreBind writes selected-node.
//
// Lack of bytes is UnschedulableAndUnresolvable: preempting a pod frees no LV. Pods without unbound claims of ours are
// skipped, whatever state the ledger is in.
package plugin
