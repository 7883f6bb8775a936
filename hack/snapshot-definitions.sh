#!/usr/bin/env bash
# Puts external-snapshotter's custom resource definitions (crd) and its controller's manifests (snapshot-controller) into a
# directory, as they are in the modules that test/lab/binaries/snapshotter pins.
#
# usage: hack/snapshot-definitions.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."

# module PATH prints the directory of a module of external-snapshotter.
module() {
	go -C test/lab/binaries/snapshotter mod download -json "github.com/kubernetes-csi/external-snapshotter/$1" |
		sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

cp -r "$(module v8)/deploy/kubernetes/snapshot-controller" "$(module client/v8)/config/crd" "$1"
chmod -R u+w "$1/snapshot-controller" "$1/crd"
