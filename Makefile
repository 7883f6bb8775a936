# Berth. `make help` lists what there is; CI runs `make test`.

# Versions -------------------------------------------------------------------------------------------------------------
# Kubernetes' version is in go.mod and is changed by bump-kubernetes. The tools' versions are in tools/*/go.mod and
# tools/go.mod, what the lab runs in test/lab/binaries/*/go.mod; Go's version is the go line of go.mod.
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
IMAGE_TAG  ?= dev
REGISTRY   ?= ghcr.io/berth-dev
# Placements of make property.
PLACEMENTS ?= 1000000
# The Debian release whose LVM the tests run on.
DEBIAN     := bookworm-slim

# Settings -------------------------------------------------------------------------------------------------------------
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The same flags everywhere, so that binaries, vet, lint and the lab's programs share one build cache. Only the race
# detector, which needs cgo, builds the dependencies a second time: once, in unit.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false

BIN      := $(CURDIR)/bin
TOOLS    := $(BIN)/tools
LAB      := $(BIN)/lab
# The lab cluster of lab-up and lab-down; the demo leaves one called demo.
NAME     ?= demo
# The size of the scheduling benchmark.
NODES    ?= 5000
PODS     ?= 5000
# Everything that go builds, behind build tags or not.
TAGS     := e2e,integration,lab
LDFLAGS  := -s -w -X k8s.io/component-base/version.gitVersion=$(VERSION)
ENGINE   ?= $(firstword $(foreach e,docker podman buildah,$(if $(shell command -v $(e)),$(e))))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Building and trying --------------------------------------------------------------------------------------------------
.PHONY: build
build: ## Build bin/driver and bin/scheduler
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/driver ./cmd/scheduler

.PHONY: demo
demo: $(LAB) ## Bring up a three-node cluster and watch Berth work (root, Debian, amd64)
	go build -o $(BIN)/demo ./test/demo
	hack/overlay.sh test/demo/manifests $(BIN)/demo-manifests/overlay
	$(BIN)/demo -lab $(LAB) -manifests $(BIN)/demo-manifests/overlay

.PHONY: lab-up
lab-up: $(LAB) ## Bring up a lab cluster with Berth installed; NAME= names it
	$(LAB) --name $(NAME) up --manifests manifests $(LAB_UP_FLAGS)

.PHONY: lab-down
lab-down: $(LAB) ## Remove the lab cluster; NAME= names it
	$(LAB) --name $(NAME) down

# go decides whether anything changed.
.PHONY: $(LAB)
$(LAB):
	@go build -o $@ ./test/lab/cmd/lab

.PHONY: image
image: ## Build the driver and scheduler images with docker, podman or buildah
	@test -n "$(ENGINE)" || { echo "image: none of docker, podman, buildah is on PATH" >&2; exit 1; }
	$(ENGINE) build --build-arg DEBIAN=$(DEBIAN) --build-arg VERSION=$(VERSION) --target driver -t $(REGISTRY)/berth-driver:$(IMAGE_TAG) .
	$(ENGINE) build --build-arg DEBIAN=$(DEBIAN) --build-arg VERSION=$(VERSION) --target scheduler -t $(REGISTRY)/berth-scheduler:$(IMAGE_TAG) .

# Testing --------------------------------------------------------------------------------------------------------------
.PHONY: test
test: ## Run everything CI runs, the quick things first
	@hack/sections.sh verify unit sanity integration e2e e2e-k8s-short

.PHONY: test-long
test-long: ## What takes hours: a million placements, the whole of Kubernetes' storage suite, stress, all of the oracle
	@hack/sections.sh property oracle stress sanity-kinds e2e-long e2e-kinds e2e-crash e2e-k8s

.PHONY: unit
unit: ## Unit tests, the LVM contract and CSI sanity on fakes, with the race detector
	CGO_ENABLED=1 go test -race -timeout 30m ./...

.PHONY: property
property: ## A million placements of the capacity ledger in a model of the cluster; PLACEMENTS=
	BERTH_PROPERTY_PLACEMENTS=$(PLACEMENTS) go test -count 1 -timeout 60m -v -run TestProperty ./pkg/plugin/capacity/

.PHONY: bench-ledger
bench-ledger: ## What a decision, a report and a volume cost the capacity ledger at 5,000 nodes
	go test -run '^$$' -bench . ./pkg/plugin/capacity/ ./pkg/plugin/

.PHONY: sanity
sanity: ## CSI sanity alone, on the fake LVM
	go test -timeout 10m -run Sanity ./pkg/csi/...

.PHONY: sanity-kinds
sanity-kinds: $(LAB) ## CSI sanity on a thin pool and on RAID1, on a lab node of its own; CLASSES=
	CLASSES='$(CLASSES)' hack/sanity-kinds.sh $(LAB)

.PHONY: integration
integration: $(LAB) ## Our scheduler with a real API server and etcd, no nodes; a small scheduling benchmark
	go test -tags integration -count 1 -timeout 15m ./test/integration/...
	go test -tags integration -count 1 -timeout 5m ./test/benchmark/scheduling

# They wait for minutes each where user-mode Linux is slow. e2e leaves out what e2e-long runs.
E2E_LONG := TestBurst|TestHostUsesTheSameVolumeGroup|TestDeletedCRDsRemoveNothing|TestNodeDeletedAndAddedAgain|TestEtcdRestoredToBeforeVolumes

.PHONY: e2e
e2e: $(LAB) ## Real LVM, sidecars and kubelets: the LVM contract, CSI sanity and the end-to-end tests in a lab cluster
	SKIP='$(E2E_LONG)' hack/e2e.sh $(LAB)

.PHONY: e2e-k8s
e2e-k8s: $(LAB) ## Kubernetes' own storage suite in a lab cluster; FOCUS= narrows it, WITHOUT= leaves capabilities out
	hack/e2e-k8s.sh $(LAB)

.PHONY: e2e-k8s-short
e2e-k8s-short: $(LAB) ## Five minutes of it: some specs of each kind
	hack/e2e-k8s.sh $(LAB) test/e2e-k8s/short.txt

.PHONY: e2e-kinds
e2e-kinds: $(LAB) ## Every kind of volume shown from inside pods, in a lab cluster of its own; RUN= narrows
	RUN='$(RUN)' hack/e2e-kinds.sh $(LAB)

.PHONY: e2e-crash
e2e-crash: $(LAB) ## The agent killed, and the node's power cut, between any two steps of a volume's life; RUN= narrows
	LAB_NAME=crash RUN='$(RUN)' hack/e2e-kinds.sh $(LAB) TestCrash

.PHONY: stress
stress: $(LAB) ## Sixty pods of mixed sizes at once in a lab cluster: as they are, with kill -9 in the middle, by the stock scheduler
	LAB_NAME=stress E2E='-run=^TestStress$$' hack/e2e.sh $(LAB)

.PHONY: e2e-long
e2e-long: $(LAB) ## A burst of 20 pods; objects, a node and etcd's newest state lost; another user of the volume group
	LAB_NAME=e2e-long E2E='-run=^($(E2E_LONG))$$' hack/e2e.sh $(LAB)

.PHONY: oracle
oracle: $(LAB) ## 500 random volume groups: the layouts' arithmetic against lvcreate on a lab node of its own
	hack/oracle.sh $(LAB)

.PHONY: bench
bench: bench-ledger bench-scheduling bench-volumes ## All benchmarks

.PHONY: bench-scheduling
bench-scheduling: ## Pods placed per second, ours against kube-scheduler; NODES=, PODS=, SCHEDULING_FLAGS= (-help)
	go build -o $(BIN)/scheduling ./test/benchmark/scheduling
	$(BIN)/scheduling -nodes $(NODES) -pods $(PODS) $(SCHEDULING_FLAGS)

.PHONY: bench-volumes
bench-volumes: $(LAB) ## What a pod's volume costs in a lab cluster, against raw lvcreate and a pod without; RUN= narrows
	RUN='$(RUN)' hack/bench.sh $(LAB)

# Keeping the house ----------------------------------------------------------------------------------------------------
.PHONY: update
update: $(TOOLS)/controller-gen ## Format, tidy and generate
	gofmt -s -w $$(hack/gofiles.sh)
	hack/tidy.sh
	hack/generate.sh $(TOOLS)/controller-gen pkg/api/v1alpha1 manifests/crds

.PHONY: verify
verify: verify-format verify-tidy verify-generated verify-manifests vet lint ## Check that update leaves no diff, vet, lint and render

.PHONY: verify-format
verify-format:
	@bad=$$(gofmt -s -l $$(hack/gofiles.sh)); test -z "$$bad" || { echo "not formatted (make update):" $$bad >&2; exit 1; }

.PHONY: verify-tidy
verify-tidy:
	hack/tidy.sh -diff

.PHONY: verify-generated
verify-generated: $(TOOLS)/controller-gen
	hack/verify-generated.sh $(TOOLS)/controller-gen

# Fields and values are checked by test/manifests (unit) and by the lab's API server (e2e), which both know our CRDs;
# kubeconform would need schemas from the network.
.PHONY: verify-manifests
verify-manifests: $(TOOLS)/kustomize
	@for dir in manifests manifests/examples; do $(TOOLS)/kustomize build $$dir > /dev/null && echo "$$dir renders"; done
	@hack/render-snapshots.sh $(TOOLS)/kustomize > /dev/null && echo "manifests with snapshots renders"

.PHONY: vet
vet: ## go vet, on files behind build tags too
	go vet -tags $(TAGS) ./...

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/logcheck ## golangci-lint and logcheck
	$(TOOLS)/golangci-lint run --build-tags $(TAGS) ./...
	$(TOOLS)/logcheck -check-contextual -check-deprecations ./pkg/... ./cmd/...

.PHONY: bump-kubernetes
bump-kubernetes: ## Move every Kubernetes module to VERSION=1.x.y
	@test "$(origin VERSION)" = "command line" || { echo "usage: make bump-kubernetes VERSION=1.x.y" >&2; exit 1; }
	hack/bump-kubernetes.sh $(VERSION)

.PHONY: clean
clean: ## Remove what make built here (the lab's cache stays: ~/.cache/berth)
	rm -rf $(BIN)

# Tools: built once per version.
$(TOOLS)/controller-gen: tools/go.mod tools/go.sum
	go build -C tools -o $@ sigs.k8s.io/controller-tools/cmd/controller-gen
$(TOOLS)/golangci-lint: tools/golangci-lint/go.mod tools/golangci-lint/go.sum
	go build -C tools/golangci-lint -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/logcheck: tools/logcheck/go.mod tools/logcheck/go.sum
	go build -C tools/logcheck -o $@ sigs.k8s.io/logtools/logcheck
$(TOOLS)/kustomize: tools/kustomize/go.mod tools/kustomize/go.sum
	go build -C tools/kustomize -o $@ sigs.k8s.io/kustomize/kustomize/v5
