package lvmcli

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// selectOwned limits a command to Berth's LVs; LVM evaluates it under the volume group's lock. The words contain no
// spaces, for the shell's sake.
const selectOwned = "lv_tags=" + lvm.TagOwned

// selectWhole additionally keeps a command with --devices from a volume group that it does not see whole.
const selectWhole = selectOwned + "&&vg_missing_pv_count=0"

// createArguments make an LV of any layout.
func createArguments(request lvm.CreateRequest, common []string) []string {
	size := bytesArgument(request.SizeBytes)
	if request.Layout.Type != lvm.LayoutThin {
		return sizedArguments(request, []string{"--size", size}, common)
	}
	arguments := append([]string{"lvcreate"}, common...)
	arguments = append(arguments, "--yes", "--type", "thin", "--wipesignatures", "n", // it is new: there is nothing to be read
		"--virtualsize", size, "--thinpool", path(request.VolumeGroup, request.Layout.ThinPool))
	return append(withTags(arguments, request.Tags), "--name", request.Name)
}

// sizedArguments make an LV of a size given as LVM wants it. --yes answers the question whether old signatures may be
// wiped.
func sizedArguments(request lvm.CreateRequest, size, common []string) []string {
	arguments := append([]string{"lvcreate"}, common...)
	arguments = append(arguments, "--yes")
	arguments = append(arguments, layoutArguments(request.Layout)...)
	arguments = append(arguments, "--wipesignatures", "y", "--zero", "y")
	arguments = append(arguments, size...)
	arguments = append(withTags(arguments, request.Tags), "--name", request.Name, request.VolumeGroup)
	return append(arguments, request.PhysicalVolumes...)
}

// layoutArguments never ask for --nosync: parity of what was not synchronised is wrong for ever.
func layoutArguments(layout lvm.Layout) []string {
	arguments := []string{"--type", string(cmp.Or(layout.Type, lvm.LayoutLinear))}
	if layout.Stripes > 0 {
		arguments = append(arguments, "--stripes", strconv.Itoa(layout.Stripes))
	}
	if layout.StripeSizeBytes > 0 {
		arguments = append(arguments, "--stripesize", bytesArgument(layout.StripeSizeBytes))
	}
	if layout.Mirrors > 0 { // LVM counts the copies besides the first
		arguments = append(arguments, "--mirrors", strconv.Itoa(layout.Mirrors-1))
	}
	return arguments
}

// withTags adds Berth's tag and others.
func withTags(arguments, tags []string) []string {
	arguments = append(arguments, "--addtag", lvm.TagOwned)
	for _, tag := range tags {
		arguments = append(arguments, "--addtag", tag)
	}
	return arguments
}

// whenFull configures what a new pool does. lvcreate --errorwhenfull is documented, and refused as "unsupported with thin
// pools".
func whenFull(request lvm.PoolRequest) string {
	if request.ErrorWhenFull {
		return " activation/error_when_full=1"
	}
	return " activation/error_when_full=0"
}

// poolArguments expect whenFull in the configuration.
func poolArguments(request lvm.PoolRequest, common []string) []string {
	arguments := append([]string{"lvcreate"}, common...)
	arguments = append(arguments, "--yes", "--type", "thin-pool", "--zero", "y", "--discards", "passdown",
		"--size", bytesArgument(request.SizeBytes), "--poolmetadatasize", bytesArgument(request.MetadataSizeBytes),
		"--poolmetadataspare", "y")
	arguments = append(withTags(arguments, nil), "--name", request.Name, request.VolumeGroup)
	return append(arguments, request.PhysicalVolumes...)
}

// extendPoolArguments grow what is smaller than the sizes given: lvextend refuses a size that is there already.
func extendPoolArguments(request lvm.PoolRequest, pool lvm.ThinPool, common []string) []string {
	arguments := append([]string{"lvextend"}, common...)
	arguments = append(arguments, "--yes")
	if request.SizeBytes > pool.SizeBytes {
		arguments = append(arguments, "--size", bytesArgument(request.SizeBytes))
	}
	if request.MetadataSizeBytes > pool.MetadataSizeBytes {
		arguments = append(arguments, "--poolmetadatasize", bytesArgument(request.MetadataSizeBytes))
	}
	return append(append(arguments, path(request.VolumeGroup, request.Name)), request.PhysicalVolumes...)
}

// snapshotArguments make a thin snapshot active like any volume, or a thick one of the size given.
func snapshotArguments(request lvm.SnapshotRequest, common []string) []string {
	arguments := append([]string{"lvcreate"}, common...)
	arguments = append(arguments, "--yes", "--snapshot")
	if request.SizeBytes > 0 {
		arguments = append(arguments, "--size", bytesArgument(request.SizeBytes))
	} else {
		arguments = append(arguments, "--setactivationskip", "n")
	}
	arguments = append(withTags(arguments, request.Tags), "--name", request.Name, path(request.VolumeGroup, request.Origin))
	return append(arguments, request.PhysicalVolumes...)
}

func extendArguments(request lvm.ExtendRequest, common []string) []string {
	arguments := append([]string{"lvextend"}, common...)
	arguments = append(arguments, "--yes", "--size", bytesArgument(request.SizeBytes),
		path(request.VolumeGroup, request.Name))
	return append(arguments, request.PhysicalVolumes...)
}

// selectAlone keeps lvremove, which is answered yes, from LVs with which others would go.
const selectAlone = "&&lv_role!=thickorigin&&lv_role!=externalorigin&&lv_layout!=pool"

func removeArguments(volumeGroup, name, selection string, common []string) []string {
	arguments := append([]string{"lvremove"}, common...)
	return append(arguments, "--yes", "--select", selection+selectAlone, path(volumeGroup, name))
}

func tagArguments(volumeGroup, name, selection string, tags, common []string) []string {
	arguments := append([]string{"lvchange"}, common...)
	arguments = append(arguments, "--yes", "--select", selection)
	for _, tag := range tags {
		arguments = append(arguments, "--addtag", tag)
	}
	return append(arguments, path(volumeGroup, name))
}

func activateArguments(volumeGroup string, names, common []string) []string {
	arguments := append([]string{"lvchange"}, common...)
	arguments = append(arguments, "--yes", "--activate", "y")
	for _, name := range names {
		arguments = append(arguments, path(volumeGroup, name))
	}
	return arguments
}

// absorbArguments remove one certain LV and extend another onto the extents that it had.
func absorbArguments(request lvm.AbsorbRequest, extents int64, ranges, common []string) (remove, extend []string) {
	remove = removeArguments(request.VolumeGroup, request.Donor, selectOwned+"&&lv_uuid="+request.DonorUUID, common)
	extend = append([]string{"lvextend"}, common...)
	extend = append(extend, "--yes", "--extents", "+"+strconv.FormatInt(extents, 10), path(request.VolumeGroup, request.Name))
	return remove, append(extend, ranges...)
}

// shellLine quotes a command for LVM's shell, which knows quotes and no escapes. No argument contains a quote.
func shellLine(arguments []string) string {
	quoted := slices.Clone(arguments)
	for i, argument := range quoted {
		if strings.ContainsAny(argument, ` "`) {
			quoted[i] = "'" + argument + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func path(volumeGroup, name string) string { return volumeGroup + "/" + name }

// bytesArgument rounds up to whole sectors, as LVM wants them; LVM rounds up to extents.
func bytesArgument(bytes int64) string {
	if sectors, err := lvm.RoundUp(bytes, sector); err == nil {
		bytes = sectors
	}
	return strconv.FormatInt(bytes, 10) + "b"
}
