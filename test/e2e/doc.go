// Package e2e holds Berth's end-to-end tests: what it promises about placement, volumes and failures, shown on a
// lab cluster with real kubelets, real sidecars and real LVM. They are built with the tag e2e and run inside the
// cluster's network by `make e2e`, `make e2e-long` and `make stress`; the cluster has three nodes whose volume group "berth" is of unequal size.
package e2e
