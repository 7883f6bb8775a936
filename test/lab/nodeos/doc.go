// Package nodeos is the operating system of a lab node: it runs inside a user-mode Linux kernel.
//
// The first process (Init) turns the host's file tree, which the kernel offers as its root, into a node's root: an
// overlay in memory, so that nothing of the host is written, with the directories that a real node keeps on disk
// bound from the node's own disk. It then only reaps processes. Its one child (Services) makes the volume groups,
// starts containerd and the kubelet, starts them again when they end, and accepts commands over the cluster's
// network.
package nodeos
