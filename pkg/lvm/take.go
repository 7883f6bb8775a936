package lvm

import "fmt"

// Request is one volume that is to be made, or to grow.
type Request struct {
	// SizeBytes is the size asked for.
	SizeBytes int64
	// IncludedBytes is the size that the volume has already, as LVM gives it; 0 for a new volume.
	IncludedBytes int64
	Layout        Layout
}

// MissingBytes is what of the volume's size LVM is still to make, rounded as LVM rounds; MaxBytes when the size can
// never be.
func (r Request) MissingBytes(extentSizeBytes int64) int64 {
	t, err := r.take(extentSizeBytes)
	if err != nil {
		return MaxBytes
	}
	return max(t.sizeBytes-r.IncludedBytes, 0)
}

// take is what one volume takes of a volume group.
type take struct {
	// sizeBytes is the volume's size as LVM will give it.
	sizeBytes int64
	// extents are taken from each of legs physical volumes, or where legs is 0 from any together.
	extents int64
	legs    int
	// grows: the volume is there already, and where it lies is not known.
	grows bool
	// virtualBytes are taken of the layout's thin pool, and no extents.
	virtualBytes int64
}

// bytes is what all legs take together.
func (t take) bytes(extentSizeBytes int64) int64 {
	return multiply(multiply(t.extents, max(int64(t.legs), 1)), extentSizeBytes)
}

// take does the arithmetic of one volume. A size is rounded up to extents, and these to a multiple of the stripes, as
// lvcreate does; growing, only the legs' difference is taken, for RAID metadata is made once.
// Errors: ErrInvalidSize, ErrInvalidLayout, ErrNoSpace (see raidMetadataExtents).
func (r Request) take(extentSizeBytes int64) (take, error) {
	if r.SizeBytes <= 0 {
		return take{}, fmt.Errorf("volume of %d bytes: %w", r.SizeBytes, ErrInvalidSize)
	}
	if err := r.Layout.Validate(); err != nil {
		return take{}, err
	}
	stripes := r.Layout.stripes()
	size, err := RoundUp(SaturatingAdd(r.SizeBytes, r.Layout.OverheadBytes), extentSizeBytes)
	if err == nil && stripes > 1 {
		size, err = RoundUp(size, multiply(stripes, extentSizeBytes))
	}
	if err != nil {
		return take{}, err
	}
	t := take{sizeBytes: size, legs: r.Layout.Legs(), grows: r.IncludedBytes > 0}
	missing := max(size-r.IncludedBytes, 0)
	if r.Layout.Type == LayoutThin {
		t.virtualBytes = missing
		return t, nil
	}
	t.extents = ceilDiv(missing, multiply(stripes, extentSizeBytes))
	if r.Layout.raid() && !t.grows {
		metadata, err := raidMetadataExtents(size, stripes, extentSizeBytes)
		if err != nil {
			return take{}, err
		}
		t.extents += metadata
	}
	return t, nil
}

const (
	// raidRegionBytes is LVM's activation/raid_region_size, raidRegions the most that a bitmap counts; raidHeaderBytes
	// are a superblock and a bitmap header.
	raidRegionBytes = 2 << 20
	raidRegions     = 1 << 21
	raidHeaderBytes = 2 * 4096
)

// raidMetadataExtents is what each leg's metadata takes: headers and a bit for each region of the leg, which is smaller than 2 MiB in a smaller volume (LVM's
// raid_rmeta_extents_delta and raid_ensure_min_region_size). That is one extent unless extents are small and legs large:
// 64 KiB and 896 GiB, or less than 16 KiB. More than one LVM takes wrongly where a physical volume's free extents do
// not lie together, which no report tells, so such a volume is refused.
// Errors: ErrNoSpace.
func raidMetadataExtents(sizeBytes, stripes, extentSizeBytes int64) (int64, error) {
	region := int64(raidRegionBytes)
	for region < sizeBytes/raidRegions {
		region *= 2
	}
	bytes := raidHeaderBytes + max(ceilDiv(sizeBytes/stripes/region, 8), 1)
	if extents := ceilDiv(bytes, extentSizeBytes); extents > 1 {
		return 0, fmt.Errorf("RAID metadata of %d extents of %d bytes for each leg, more than one: %w", extents, extentSizeBytes, ErrNoSpace)
	}
	return 1, nil
}
