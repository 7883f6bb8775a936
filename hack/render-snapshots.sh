#!/usr/bin/env bash
# Prints the manifests with the component for snapshots, as a cluster that wants both builds them.
#
# usage: hack/render-snapshots.sh KUSTOMIZE
set -euo pipefail
cd "$(dirname "$0")/.."
kustomize=$(realpath "$1")

mkdir -p bin
dir=$(mktemp -d bin/render-XXXXXX)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../manifests]
components: [../../manifests/snapshots]
END
"$kustomize" build "$dir"
