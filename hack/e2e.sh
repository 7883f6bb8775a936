#!/usr/bin/env bash
# Brings up a lab cluster with Berth installed, runs what needs real LVM, real sidecars and real kubelets, and takes the
# cluster down however that ends: the LVM contract and the layouts' arithmetic on a node's spare disks, CSI sanity against
# the running services, and the end-to-end tests. With KEEP=1 the cluster stays for a look.
#
# usage: hack/e2e.sh LAB-PROGRAM
# E2E: the end-to-end tests to run, as go test's flag; with it they alone run.
# SKIP: end-to-end tests to leave out, names joined by |
set -euo pipefail
cd "$(dirname "$0")/.."
export BERTH_LAB=$1 BERTH_LAB_NAME=${LAB_NAME:-e2e}
bin=$PWD/bin

lab() { "$BERTH_LAB" --name "$BERTH_LAB_NAME" "$@"; }
title() { printf '\n── %s (at %dm%02ds)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# The nodes see the host's files as they were at their start: what runs on them is built before.
title "test programs"
go test -c -tags lab -o "$bin/lvmcontract.test" ./test/lvmcontract
go test -c -tags lab -o "$bin/lvmoracle.test" ./test/lvmoracle
go test -c -tags lab -o "$bin/sanity.test" ./test/sanity
go test -c -tags lab -o "$bin/csi.test" ./pkg/csi
go test -c -tags lab -o "$bin/qos.test" ./pkg/qos

down() { [[ -n ${KEEP:-} ]] || lab down; }
trap down EXIT
title "lab cluster"
# Three volume groups of unequal size under the name that manifests/driver/config.yaml gives, and seven empty disks: two of
# equal size, four, and one for mounts.
lab up --nodes 3 --vg node1=berth:20Gi --vg node2=berth:12Gi --vg node3=berth:8Gi \
	--spare node1=256Mi+256Mi+128Mi+128Mi+128Mi+128Mi+512Mi --manifests manifests

end_to_end() {
	title "end to end"
	BERTH_MANIFESTS=$PWD/manifests lab exec -- go test -tags e2e -count 1 -timeout 50m -parallel 4 -v "$1" ./test/e2e/...
}
if [[ -n ${E2E:-} ]]; then
	end_to_end "$E2E"
	exit
fi

# Any controller serves, leader or not; its socket is in an emptyDir of its pod, so the suite runs on that pod's node. The
# contract and the oracle have node1's spare disks, and on two processors node1 and node3 share one: node2 is best, then
# node3.
read -r _ node uid < <(lab kubectl get pods --namespace berth-system --selector app.kubernetes.io/component=controller \
	--output 'jsonpath={range .items[*]}{.spec.nodeName} {.metadata.uid}{"\n"}{end}' |
	awk '{ print ($1 == "node2" ? 1 : $1 == "node3" ? 2 : 3), $0 }' | sort)
others=$(lab kubectl get nodes --output 'jsonpath={.items[*].metadata.name}' | tr ' ' '\n' | grep --invert-match --line-regexp "$node")

# Several specs ask for a volume without saying where, and then use it on the suite's node.
allocatable() {
	for other in $others; do
		lab node "$other" -- pvchange -qq --allocatable "$1" --select vg_name=berth
		lab kubectl wait --timeout 3m "nodestorage/$other" \
			--for "jsonpath={.status.volumeGroups[?(@.name=='berth')].physicalVolumes[0].allocatable}=$2"
	done
}

title "CSI sanity on $node; beside it the LVM contract, the layouts, mounts and cgroups on node1; all on the real thing"
# Disk a is the node's own, b the volume group's. `make oracle` has more cases.
{
	lab node node1 -- env BERTH_LVM_DEVICES=/dev/ubdc,/dev/ubdd,/dev/ubde,/dev/ubdf,/dev/ubdg,/dev/ubdh "$bin/lvmcontract.test" -test.v -test.timeout 60m &&
		lab node node1 -- env BERTH_LVM_DEVICES=/dev/ubdc BERTH_CASES=100 "$bin/lvmoracle.test" -test.v -test.timeout 20m &&
		lab node node1 -- env BERTH_CSI_DEVICE=/dev/ubdi "$bin/csi.test" -test.v -test.timeout 10m -test.run '^TestHost' &&
		lab node node1 -- env BERTH_CSI_DEVICE=/dev/ubdi "$bin/qos.test" -test.v -test.timeout 10m -test.run '^TestHost'
} >"$bin/lvm.log" 2>&1 &
lvm=$!
allocatable n false
kubelet=/var/lib/kubelet
lab node "$node" -- env \
	BERTH_CSI_NODE="unix://$kubelet/plugins/lvm.berth.dev/csi.sock" \
	BERTH_CSI_CONTROLLER="unix://$kubelet/pods/$uid/volumes/kubernetes.io~empty-dir/csi/csi.sock" \
	BERTH_CSI_DIRECTORY="$kubelet/plugins/lvm.berth.dev/sanity" \
	"$bin/sanity.test" -test.v -test.timeout 60m
allocatable y true
passed=0
wait "$lvm" || passed=$?
cat "$bin/lvm.log"
((passed == 0))

# These have clusters of their own: make stress, e2e-kinds, e2e-crash, bench-volumes.
end_to_end "-skip=^(TestStress|TestKinds|TestCrash|TestSpeed${SKIP:+|$SKIP})$"
