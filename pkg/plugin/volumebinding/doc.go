// Package volumebinding is kube-scheduler's VolumeBinding plugin on our terms: the in-tree code, built by its own New,
// under another name and with three differences.
//
// It is blind to what our driver publishes for the stock scheduler. CSIStorageCapacity objects are a moment old and do
// not count claims in flight, and VolumeBinding walks all of them per node and claim. The in-tree code sees our
// CSIDriver without storageCapacity, and the process neither caches nor hears of our CSIStorageCapacity objects
// (capacity.go). Other drivers' are as they were.
//
// It does not look through the volumes that our driver has made for claims, to find one for another claim
// (candidates.go): in-tree that is done for each node, and takes longer the more volumes there are.
//
// PreBind goes on when the claims are bound, not at the next full second (binder.go, check.go, waiters.go). The outcomes
// are those of the in-tree code. Pods with volumes that were made by hand take the in-tree path and its poll: what they
// are bound to is known to the in-tree package only.
//
// The in-tree plugin must be disabled in every profile of the process.
package volumebinding
