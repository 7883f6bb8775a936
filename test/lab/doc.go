// Package lab brings a real Kubernetes cluster up on one machine without virtualization.
//
// The control plane runs from its own source's programs; each node is a user-mode Linux kernel, an ordinary process,
// with containerd, a kubelet and LVM volume groups on disks that are files. A cluster is one supervisor process in
// its own namespaces (package supervisor) and one directory of files (layout.State). Up makes one, Open finds one
// that runs, and a Cluster's methods do what an operator, or misfortune, does to it.
//
// What a cluster needs is built once and cached (package prepare). Nothing is written outside the state and cache
// directories, no network interface or mount of the host is touched, and killing the supervisor removes everything
// but files.
package lab
