#!/usr/bin/env bash
# Tidies the go.mod of the product and of the tools. With -diff it only says what would change, and fails if anything.
#
# usage: hack/tidy.sh [-diff]
set -euo pipefail
cd "$(dirname "$0")/.."
for dir in . tools tools/*/; do
	[[ -e $dir/go.mod ]] || continue
	GOFLAGS=-mod=mod go mod tidy -C "$dir" "$@"
done
