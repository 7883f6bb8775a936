#!/usr/bin/env bash
# Shows every kind of volume from inside pods, on a lab cluster of its own: thin pools, layouts, snapshots, restores, clones,
# encryption, limits, erasure, disks and files as volume groups, adoption; or what becomes of them in a crash. Takes the
# cluster down however that ends; with KEEP=1 it stays for a look.
#
# usage: hack/e2e-kinds.sh LAB-PROGRAM [TEST]
# TEST: TestKinds, or another test of test/e2e that needs these classes
# RUN: a regular expression that narrows what is below the test
set -euo pipefail
cd "$(dirname "$0")/.."
export BERTH_LAB=$1 BERTH_LAB_NAME=${LAB_NAME:-kinds}
test=${2:-TestKinds}
out=$PWD/bin/e2e-kinds/manifests

lab() { "$BERTH_LAB" --name "$BERTH_LAB_NAME" "$@"; }
title() { printf '\n── %s (at %dm%02ds)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

hack/overlay.sh test/e2e/manifests "$out"

down() { [[ -n ${KEEP:-} ]] || lab down; }
trap down EXIT
title "lab cluster"
# Of each node: berth, six disks for the kinds (raid6 takes five, and a pool may fill one), two empty ones.
lab up --nodes 2 --vg node1=berth:6Gi --vg node2=berth:8Gi \
	--vg node1=kinds:1Gi+1Gi+1Gi+1Gi+1Gi+1Gi --vg node2=kinds:1280Mi+1280Mi+1280Mi+1280Mi+1280Mi+1280Mi --spare '*=256Mi+256Mi' \
	--manifests "$out"
title "$test"
lab exec -- go test -tags e2e -count 1 -timeout 90m -parallel 4 -v -run "^$test/${RUN:-}" ./test/e2e/...
