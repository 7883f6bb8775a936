#!/usr/bin/env bash
# Compares the layouts' arithmetic with LVM on a lab node of its own: what the section "layouts on real LVM" of e2e.sh does
# in a cluster of more. BERTH_SEED repeats a run.
#
# usage: hack/oracle.sh LAB-PROGRAM
set -euo pipefail
cd "$(dirname "$0")/.."
name=${LAB_NAME:-oracle}
bin=$PWD/bin
LAB=$1

lab() { "$LAB" --name "$name" "$@"; }
go test -c -tags lab -o "$bin/lvmoracle.test" ./test/lvmoracle

trap 'lab down' EXIT
lab up --nodes 1 --vg node1=berth:1Gi --spare node1=256Mi
lab node node1 -- env BERTH_LVM_DEVICES=/dev/ubdc ${BERTH_SEED:+BERTH_SEED="$BERTH_SEED"} \
	"$bin/lvmoracle.test" -test.v -test.timeout 20m
