#!/usr/bin/env bash
# Makes an overlay of the manifests for a lab cluster with snapshots: a copy of a directory of ours, with external-snapshotter's
# custom resource definitions (crd) and its controller's manifests (snapshot-controller) beside it, as they are in the modules
# that test/lab/binaries/snapshotter pins. The copy has to be as deep below the checkout as the original is.
#
# usage: hack/overlay.sh FROM TO
set -euo pipefail
cd "$(dirname "$0")/.."

# module PATH prints the directory of a module of external-snapshotter.
module() {
	go -C test/lab/binaries/snapshotter mod download -json "github.com/kubernetes-csi/external-snapshotter/$1" |
		sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

rm -rf "$2"
mkdir -p "$2"
cp -r "$1"/* "$(module v8)/deploy/kubernetes/snapshot-controller" "$(module client/v8)/config/crd" "$2"
chmod -R u+w "$2"
