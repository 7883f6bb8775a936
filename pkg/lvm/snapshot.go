package lvm

// snapshotChunkBytes is what a thick snapshot saves at a time: LVM's default. Each chunk takes 16 bytes of metadata
// besides, and the first chunk is a header (lvm2, lib/metadata/snapshot_manip.c).
const (
	snapshotChunkBytes    = 4096
	snapshotMetadataBytes = 16
)

// MaximumSnapshotBytes is what a thick snapshot of an origin takes when all of the origin has changed, in whole extents.
// One of this size never overflows.
func MaximumSnapshotBytes(originBytes, extentSizeBytes int64) int64 {
	chunks := ceilDiv(originBytes, snapshotChunkBytes)
	metadata := ceilDiv(multiply(chunks, snapshotMetadataBytes), snapshotChunkBytes)
	bytes := multiply(SaturatingAdd(SaturatingAdd(chunks, metadata), 1), snapshotChunkBytes)
	rounded, err := RoundUp(bytes, extentSizeBytes)
	if err != nil {
		return MaxBytes - MaxBytes%extentSizeBytes
	}
	return rounded
}

// Of a volume that is copied while it is in use, this share is set aside for what changes meanwhile, and not less than
// leastHoldBytes. It is extended as snapshots are.
const (
	holdShare      = 5
	leastHoldBytes = 64 << 20
)

// HoldBytes is what a volume outside a thin pool takes besides its copy until it is copied.
func HoldBytes(originBytes, extentSizeBytes int64) int64 {
	return min(max(originBytes/holdShare, leastHoldBytes), MaximumSnapshotBytes(originBytes, extentSizeBytes))
}

// ThickSnapshot tells whether an LV is a snapshot that keeps what its origin overwrites, rather than one in a thin pool.
func (lv LogicalVolume) ThickSnapshot() bool { return lv.Origin != "" && lv.ThinPool == "" }

// ThickSnapshots are those of an origin. While there are any, LVM neither removes nor grows it.
func (vg *VolumeGroup) ThickSnapshots(origin string) []LogicalVolume {
	var snapshots []LogicalVolume
	for _, lv := range vg.LogicalVolumes {
		if lv.Origin == origin && lv.ThickSnapshot() {
			snapshots = append(snapshots, lv)
		}
	}
	return snapshots
}

// ViewBytes is the size of what an LV shows to who reads it: of a thick snapshot its origin's, for SizeBytes is what the
// changes since may come to. found is false when the origin is not in the report.
func (vg *VolumeGroup) ViewBytes(lv LogicalVolume) (bytes int64, found bool) {
	if !lv.ThickSnapshot() {
		return lv.SizeBytes, true
	}
	origin, found := vg.LogicalVolume(lv.Origin)
	return origin.SizeBytes, found
}
