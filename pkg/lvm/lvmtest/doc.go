// Package lvmtest is the contract of lvm.Manager as tests: one suite that runs on the fake in every test run and on
// real volume groups inside a lab node.
package lvmtest
