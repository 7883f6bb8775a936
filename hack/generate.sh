#!/usr/bin/env bash
# Generates deep copies and CustomResourceDefinitions from the types in pkg/api.
#
# usage: hack/generate.sh CONTROLLER-GEN DEEPCOPY-DIR CRD-DIR
set -euo pipefail
cd "$(dirname "$0")/.."
"$1" object paths=./pkg/api/v1alpha1 output:object:dir="$2"
"$1" crd paths=./pkg/api/v1alpha1 output:crd:dir="$3"
