#!/usr/bin/env bash
# Fails when generated files are not what generate.sh makes from the types as they are now.
#
# usage: hack/verify-generated.sh CONTROLLER-GEN
set -euo pipefail
cd "$(dirname "$0")/.."
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
mkdir "$temp/deepcopy" "$temp/crds"
hack/generate.sh "$1" "$temp/deepcopy" "$temp/crds"
stale() { echo "generated files are stale: run make update" >&2; exit 1; }
diff -u pkg/api/v1alpha1/zz_generated.deepcopy.go "$temp/deepcopy/zz_generated.deepcopy.go" || stale
diff -ru --exclude=kustomization.yaml manifests/crds "$temp/crds" || stale
