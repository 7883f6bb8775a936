#!/usr/bin/env bash
# Prints the Go files of the checkout, committed or not, that people write.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files --cached --others --exclude-standard -- '*.go' | grep -v '/zz_generated\.' | while read -r file; do
	[[ -e $file ]] && echo "$file"
done
