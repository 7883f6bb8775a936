#!/usr/bin/env bash
# Measures volumes in a lab cluster of its own, each thing beside its floor in the same run: what pods wait for, from
# outside; then the driver's calls, on a node that has a controller, against raw lvcreate there; and what Berth's processes
# take. With KEEP=1 the cluster stays for a look.
#
# usage: hack/bench.sh LAB-PROGRAM
# RUN: a regular expression that narrows the calls' tests; with it they alone run
set -euo pipefail
cd "$(dirname "$0")/.."
export BERTH_LAB=$1 BERTH_LAB_NAME=${LAB_NAME:-bench}
bin=$PWD/bin

lab() { "$BERTH_LAB" --name "$BERTH_LAB_NAME" "$@"; }
title() { printf '\n── %s (at %dm%02ds)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
go test -c -tags lab -o "$bin/benchmark.test" ./test/benchmark

down() { [[ -n ${KEEP:-} ]] || lab down; }
trap down EXIT
title "lab cluster"
lab up --nodes 3 --vg '*=berth:20Gi' --manifests test/benchmark/manifests

pod() { lab kubectl get pods --namespace berth-system --selector "app.kubernetes.io/component=$1" "${@:2}"; }
node=$(pod controller --output 'jsonpath={.items[0].spec.nodeName}')
agent=$(pod node --field-selector "spec.nodeName=$node" --output 'jsonpath={.items[0].status.podIP}')

if [[ -z ${RUN:-} ]]; then
	title "resident memory of idle processes on $node"
	lab node "$node" -- sh -c '
for p in /proc/[0-9]*; do
	case $(readlink "$p/exe") in
	*/usr/local/bin/driver | */usr/local/bin/scheduler)
		tr "\0" " " < "$p/cmdline" | cut -c1-32
		grep -E "VmRSS|RssAnon" "$p/status" ;;
	esac
done'
	title "pods"
	lab exec -- go test -tags e2e -count 1 -timeout 30m -v -run '^TestSpeed$' ./test/e2e/...
fi
title "calls on $node"
lab node "$node" -- env BERTH_NODE="$node" BERTH_AGENT_METRICS="$agent:9808" \
	"$bin/benchmark.test" -test.v -test.timeout 40m -test.run "${RUN:-.}"
