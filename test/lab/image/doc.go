// Package image makes container images without a registry and without a container engine.
//
// A Layer is an uncompressed tar with fixed times and owners, so that equal content has an equal digest. An Image
// is a name, layers and a start command. WriteArchive writes images as an OCI image layout, which
// "ctr images import" reads. Layers listed as already present are named in the archive without being in it: a
// node that imported them once before (from its base disk) needs only the small layer that changed.
package image
