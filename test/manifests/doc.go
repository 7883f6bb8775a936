// Package manifests checks that the shipped manifests are what the parts that read them accept: the Kubernetes types
// without unknown fields, the agent's configuration parser and the StorageClass parameter parser.
package manifests
