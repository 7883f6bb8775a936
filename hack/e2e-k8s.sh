#!/usr/bin/env bash
# Runs Kubernetes' own storage suite against Berth in a lab cluster of its own, in which Berth's scheduler is the only one,
# and takes the cluster down however that ends. Ends with the specs that passed, failed and were skipped, and why.
# bin/e2e-k8s keeps junit.xml, the driver's definition and the manifests as they were used. With KEEP=1 the cluster stays.
#
# usage: hack/e2e-k8s.sh LAB-PROGRAM [FILE]
# FILE: regular expressions for names of specs, one a line; without it all specs are run
# FOCUS: one regular expression in place of a file
# WITHOUT: capabilities of test/e2e-k8s/testdriver.yaml, and sections of it, to do without, with spaces between
# PROCS: specs at a time
set -euo pipefail
cd "$(dirname "$0")/.."
LAB=$1
name=${LAB_NAME:-e2e-k8s}
out=$PWD/bin/e2e-k8s
own=$PWD/test/e2e-k8s

lab() { "$LAB" --name "$name" "$@"; }
title() { printf '\n── %s (at %dm%02ds)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# lines FILE prints its lines as one regular expression, without those that begin with "#".
lines() { grep -v '^#' "$1" | paste --serial --delimiters='|'; }

focus=${FOCUS:-}
[[ $# -lt 2 ]] || focus=$(lines "$2")

title "driver definition and manifests"
rm -rf "$out"
mkdir -p "$out"
# A section is a line at the margin with what is indented below it, a capability one line.
awk -v "without=${WITHOUT:-}" '
	BEGIN { split(without, list, " "); for (i in list) left[list[i] ":"] = 1 }
	/^[A-Za-z]/ { section = $1 in left }
	!section && !(/^    / && $1 in left)' "$own/testdriver.yaml" >"$out/testdriver.yaml"
hack/overlay.sh test/e2e-k8s/manifests "$out/manifests"
sed 's/schedulerName: berth-scheduler/schedulerName: default-scheduler/' manifests/scheduler/config.yaml >"$out/manifests/scheduler.yaml"
go build -o "$out/report" ./test/e2e-k8s/report

down() { [[ -n ${KEEP:-} ]] || lab down; }
trap down EXIT
title "lab cluster"
lab up --storage-suite --nodes 3 --vg node1=berth:20Gi --vg node2=berth:12Gi --vg node3=berth:8Gi --manifests "$out/manifests"
# It was there to place Berth's scheduler.
lab control-plane stop kube-scheduler

title "Kubernetes' storage suite"
# With the definition's files relative to --repo-root. A spec's log is in junit.xml.
failed=0
suite=$(lab exec -- bash -c 'command -v e2e.test')
lab exec -- bash -c 'exec ginkgo "$@"' ginkgo --procs="${PROCS:-3}" --timeout=5h --no-color \
	--focus="External.Storage.*($focus)" --skip="$(lines "$own/excluded.txt")" \
	--output-dir="$out" --junit-report=junit.xml "$suite" -- \
	--provider=local --node-os-distro=custom --repo-root="$own" --storage.testdriver="$out/testdriver.yaml" || failed=$?
"$out/report" -excluded "$own/excluded.txt" "$out/junit.xml" || failed=$?
exit "$failed"
