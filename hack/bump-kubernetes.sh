#!/usr/bin/env bash
# Moves the product, the lab's Kubernetes programs and Kubernetes' storage suite to one Kubernetes release: k8s.io/kubernetes itself, each of its
# staging modules (by a replace list, because its own go.mod requires them at v0.0.0), the go and godebug lines, and the
# version that the lab's programs report. Running it with the present version changes nothing. The images that the storage
# suite asks for are in test/lab/prepare/suite.go: `e2e.test --list-images` of the new version has their names.
#
# usage: hack/bump-kubernetes.sh 1.x.y
set -euo pipefail
cd "$(dirname "$0")/.."
# -mod=mod: a go.mod that is being rewritten is not consistent in between.
export GOFLAGS=-mod=mod

version=v${1#v}
[[ $version =~ ^v1\.[0-9]+\.[0-9]+$ ]] || { echo "bump-kubernetes: $1 is no release of Kubernetes: want 1.x.y" >&2; exit 1; }
staging=v0.${version#v1.}
labs=(test/lab/binaries/kubernetes test/lab/binaries/e2e)
upstream=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')

# staging_modules lists the modules that k8s.io/kubernetes keeps in its own tree.
staging_modules() { sed -n 's|^\t\(k8s\.io/[a-z-]*\) => \./staging/.*|\1|p' "$upstream"; }

# requirements DIR prints "module version" for each module that DIR/go.mod requires.
requirements() {
	awk '/^require \(/ { inside = 1; next } /^\)/ { inside = 0 }
		inside && NF >= 2 { print $1, $2 } /^require [^(]/ { print $2, $3 }' "$1/go.mod"
}

# pin DIR sets every Kubernetes version in DIR/go.mod.
pin() {
	local module current edits=("-require=k8s.io/kubernetes@$version")
	for module in $(sed -n 's|^\t\(k8s\.io/[a-z-]*\) => k8s\.io/.*|\1|p' "$1/go.mod"); do
		# Those that stay are edited in place below, which keeps the list in one block.
		grep -qx "$module" <(staging_modules) || edits+=("-dropreplace=$module")
	done
	for module in $(staging_modules); do
		edits+=("-replace=$module=$module@$staging")
	done
	while read -r module current; do
		# A requirement that only comes from k8s.io/kubernetes stays at its v0.0.0: the replace list decides.
		if [[ $current != v0.0.0 ]] && grep -qx "$module" <(staging_modules); then
			edits+=("-require=$module@$staging")
		fi
	done < <(requirements "$1")
	edits+=("-go=$(sed -n 's/^go //p' "$upstream")" "-godebug=$(sed -n 's/^godebug //p' "$upstream")")
	go -C "$1" mod edit "${edits[@]}"
}

# align DIR gives DIR/go.mod the product's version of each module that both use: with equal versions they share one build
# cache, with different ones everything above the module is compiled twice.
align() {
	local module wanted current edits=()
	while read -r module wanted current; do
		if [[ $wanted != "$current" ]] && ! grep -qx "$module" <(staging_modules); then
			edits+=("-require=$module@$wanted")
		fi
	done < <(join <(requirements . | LC_ALL=C sort) <(requirements "$1" | LC_ALL=C sort))
	((${#edits[@]} == 0)) || go -C "$1" mod edit "${edits[@]}"
}

pin .
go mod tidy
for lab in "${labs[@]}"; do
	pin "$lab"
	align "$lab"
	go -C "$lab" mod tidy
done
sed -i "s/^const KubernetesVersion = .*/const KubernetesVersion = \"$version\"/" test/lab/toolchain/toolchain.go
