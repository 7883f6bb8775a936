// Package prepare makes what a cluster is started from: programs, container images and the base disk of nodes.
//
// All of it goes into a cache under names made from a hash of what decides the content, by rename when it is
// complete. A second cluster, and a second run after an unrelated change, finds everything there.
package prepare
