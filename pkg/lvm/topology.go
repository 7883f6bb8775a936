package lvm

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxTopologyValue is the longest value of a topology segment: CSI spec, Topology; the same as a label's.
const maxTopologyValue = 63

// TopologyValue is a node's value of the topology key: its name where that is a label value, else the name's
// beginning and a hash of it. A node name may have 253 characters.
func TopologyValue(nodeName string) string {
	if isLabelValue(nodeName) {
		return nodeName
	}
	sum := sha256.Sum256([]byte(nodeName))
	suffix := "-" + hex.EncodeToString(sum[:10])
	prefix := strings.Map(labelRune, nodeName)
	prefix = prefix[:min(len(prefix), maxTopologyValue-len(suffix))]
	// The suffix's hyphen must not be the first character, should nothing of the name be usable.
	return cmp.Or(strings.Trim(prefix, "-_."), "node") + suffix
}

func isLabelValue(s string) bool {
	return s != "" && len(s) <= maxTopologyValue && strings.Map(labelRune, s) == s &&
		isAlphanumeric(rune(s[0])) && isAlphanumeric(rune(s[len(s)-1]))
}

// labelRune keeps what a label value may contain and replaces the rest.
func labelRune(r rune) rune {
	if isAlphanumeric(r) || r == '-' || r == '_' || r == '.' {
		return r
	}
	return '-'
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
