// Package e2e is Kubernetes' own test suite for storage drivers, as k8s.io/kubernetes/test/e2e builds it, without the
// specs of everything else.
package e2e

import (
	// The suite's own setup and command line.
	_ "k8s.io/kubernetes/test/e2e"

	// Specs for the drivers that --storage.testdriver names.
	_ "k8s.io/kubernetes/test/e2e/storage/external"

	// What the suite does around each spec: events and pods of a failed one, the wait for nodes.
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init"
	_ "k8s.io/kubernetes/test/e2e/framework/metrics/init"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"
)
