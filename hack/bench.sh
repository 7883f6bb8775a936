#!/usr/bin/env bash
# Measures CreateVolume in a lab cluster of its own, on a node that has a controller, against raw lvcreate on that node in
# the same run; then the idle memory of Berth's processes.
#
# usage: hack/bench.sh LAB-PROGRAM
set -euo pipefail
cd "$(dirname "$0")/.."
name=${LAB_NAME:-bench}
bin=$PWD/bin

lab() { "$LAB" --name "$name" "$@"; }
LAB=$1
go test -c -tags lab -o "$bin/benchmark.test" ./test/benchmark

trap 'lab down' EXIT
lab up --nodes 3 --vg '*=berth:20Gi' --manifests manifests

pod() { lab kubectl get pods --namespace berth-system --selector "app.kubernetes.io/component=$1" "${@:2}"; }
node=$(pod controller --output 'jsonpath={.items[0].spec.nodeName}')
agent=$(pod node --field-selector "spec.nodeName=$node" --output 'jsonpath={.items[0].status.podIP}')

printf '\nresident memory of idle processes on %s\n' "$node"
lab node "$node" -- sh -c '
for p in /proc/[0-9]*; do
	case $(readlink "$p/exe") in
	*/usr/local/bin/driver | */usr/local/bin/scheduler)
		tr "\0" " " < "$p/cmdline" | cut -c1-32
		grep -E "VmRSS|RssAnon" "$p/status" ;;
	esac
done'

printf '\nCreateVolume on %s, median of 15\n' "$node"
lab node "$node" -- env BERTH_NODE="$node" BERTH_AGENT_METRICS="$agent:9808" "$bin/benchmark.test" -test.timeout 20m
