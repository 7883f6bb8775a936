# The images of `make image`. The lab makes the same content from Debian packages without a container engine.
ARG DEBIAN=bookworm-slim

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG VERSION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY pkg pkg
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$VERSION" \
      -o /out/ ./cmd/driver ./cmd/scheduler

# Everything the node part runs: LVM, the file systems' tools, mount. The controller uses the same image.
FROM debian:$DEBIAN AS driver
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      lvm2 thin-provisioning-tools e2fsprogs xfsprogs btrfs-progs cryptsetup-bin util-linux mount \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/driver /usr/local/bin/driver
ENTRYPOINT ["/usr/local/bin/driver"]

FROM scratch AS scheduler
COPY --from=build /out/scheduler /usr/local/bin/scheduler
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/scheduler"]
