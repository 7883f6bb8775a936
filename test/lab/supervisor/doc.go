// Package supervisor runs one lab cluster.
//
// The supervisor is the first process of its own PID, network, mount, IPC and host name namespaces. Everything of
// the cluster is its descendant. When it ends, for whatever reason, the kernel ends all of them and the network
// vanishes with the last; what remains is a directory of files.
package supervisor
