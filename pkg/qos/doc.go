// Package qos holds pods to the limits of the volumes they use, by io.max of cgroup v2.
//
// Who uses a volume is read from the mounts, by the paths at which the kubelet has volumes published; a pod's cgroup is
// found by its UID. So nothing is remembered, and a restart forgets nothing. A limit is one pod's on one volume: two pods
// on a volume may each have it.
//
// The limit is on the device that is mounted, or bound as a block device, for that is where the pod's requests enter
// the block layer: of an encrypted volume the plaintext device.
package qos
