// Package benchmark measures the driver's calls inside a lab node, against a floor taken in the same run. It is built with
// the tag lab into a test binary that `make bench-volumes` runs on the node; it prints ratios and fails on no clock.
package benchmark
