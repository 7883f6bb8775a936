#!/usr/bin/env bash
# Runs make targets one after another, each under a heading with the time passed, and ends with one line that says how
# it went. Stops at the first that fails.
#
# usage: hack/sections.sh TARGET...
set -euo pipefail
cd "$(dirname "$0")/.."

elapsed() { printf '%dm%02ds' $((SECONDS / 60)) $((SECONDS % 60)); }

section=setup
ended() {
	local code=$?
	if ((code)); then
		printf '\n══ FAILED in %s after %s\n' "$section" "$(elapsed)"
	else
		printf '\n══ all passed in %s\n' "$(elapsed)"
	fi
}
trap ended EXIT

for section in "$@"; do
	printf '\n══ %s (at %s)\n' "$section" "$(elapsed)"
	make "$section"
done
