#!/usr/bin/env bash
# Runs CSI sanity on thin pools and RAID: the real services on one lab node with real LVM. Takes the node down however
# that ends; with KEEP=1 it stays for a look.
#
# usage: hack/sanity-kinds.sh LAB-PROGRAM
# CLASSES: device classes of test/e2e/manifests/config.yaml, with spaces between
set -euo pipefail
cd "$(dirname "$0")/.."
LAB=$1
name=${LAB_NAME:-sanity}
out=$PWD/bin/sanity-kinds/manifests

lab() { "$LAB" --name "$name" "$@"; }
title() { printf '\n── %s (at %dm%02ds)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

hack/overlay.sh test/e2e/manifests "$out"
go test -c -tags lab -o bin/sanity.test ./test/sanity

down() { [[ -n ${KEEP:-} ]] || lab down; }
trap down EXIT
title "lab node"
lab up --nodes 1 --vg node1=berth:6Gi --vg node1=kinds:1Gi+1Gi+1Gi+1Gi+1Gi+1Gi --spare node1=256Mi+256Mi --manifests "$out"

# Any controller serves, leader or not; its socket is in an emptyDir of its pod.
uid=$(lab kubectl get pods --namespace berth-system --selector app.kubernetes.io/component=controller \
	--field-selector status.phase=Running --output 'jsonpath={.items[0].metadata.uid}')
kubelet=/var/lib/kubelet
failed=0
for class in ${CLASSES:-thin raid1}; do
	title "CSI sanity, device class $class"
	lab node node1 -- env \
		BERTH_CSI_NODE="unix://$kubelet/plugins/lvm.berth.dev/csi.sock" \
		BERTH_CSI_CONTROLLER="unix://$kubelet/pods/$uid/volumes/kubernetes.io~empty-dir/csi/csi.sock" \
		BERTH_CSI_DIRECTORY="$kubelet/plugins/lvm.berth.dev/sanity" \
		BERTH_CSI_CLASS="$class" \
		"$PWD/bin/sanity.test" -test.v -test.timeout 60m || failed=1
done
exit "$failed"
