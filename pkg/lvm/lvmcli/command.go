package lvmcli

import (
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

// createArguments make a linear LV. --yes answers the question whether old signatures may be wiped.
func createArguments(request lvm.CreateRequest, common []string) []string {
	arguments := append([]string{"lvcreate"}, common...)
	arguments = append(arguments, "--yes", "--type", "linear", "--wipesignatures", "y", "--zero", "y",
		"--size", bytesArgument(request.SizeBytes), "--addtag", lvm.TagOwned)
	for _, tag := range request.Tags {
		arguments = append(arguments, "--addtag", tag)
	}
	arguments = append(arguments, "--name", request.Name, request.VolumeGroup)
	return append(arguments, request.PhysicalVolumes...)
}

func extendArguments(request lvm.ExtendRequest, common []string) []string {
	arguments := append([]string{"lvextend"}, common...)
	arguments = append(arguments, "--yes", "--size", bytesArgument(request.SizeBytes),
		path(request.VolumeGroup, request.Name))
	return append(arguments, request.PhysicalVolumes...)
}

func removeArguments(volumeGroup, name, selection string, common []string) []string {
	arguments := append([]string{"lvremove"}, common...)
	return append(arguments, "--yes", "--select", selection, path(volumeGroup, name))
}

func readyArguments(volumeGroup, name, selection string, common []string) []string {
	arguments := append([]string{"lvchange"}, common...)
	return append(arguments, "--yes", "--select", selection, "--addtag", lvm.TagReady, path(volumeGroup, name))
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

// reportArguments ask for volume groups, physical volumes and visible LVs in one view.
func reportArguments(volumeGroups, common []string) []string {
	return reportWithSegments(volumeGroups, "0", common)
}

// reportWithSegments also asks where the LV of the name given lies. A full report cannot leave its two kinds of
// segments out, only select none of them, by a name that no LV has.
func reportWithSegments(volumeGroups []string, lv string, common []string) []string {
	arguments := append([]string{"fullreport"}, common...)
	arguments = append(arguments, "--nameprefixes", "--noheadings", "--binary", "--units", "b", "--nosuffix",
		"--configreport", "vg", "-o", strings.Join(vgColumns, ","),
		"--configreport", "pv", "-o", strings.Join(pvColumns, ","),
		"--configreport", "lv", "-o", strings.Join(lvColumns, ","),
		"--configreport", "pvseg", "-S", "pv_name=0",
		"--configreport", "seg", "-o", rangesColumn, "-S", "lv_name="+lv)
	return append(arguments, volumeGroups...)
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
