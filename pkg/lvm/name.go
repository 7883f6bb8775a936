package lvm

import "strings"

// maxName is the longest name of a volume group or LV: lvm(8).
const maxName = 127

// ValidName reports whether LVM takes the name for a volume group or an LV: letters, digits and "+_.-", no hyphen
// first. Names that LVM keeps for itself are not told apart.
func ValidName(name string) bool {
	if name == "" || name == "." || name == ".." || name[0] == '-' || len(name) > maxName {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("+_.-", r)
	})
}
