package lvm

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	claimPrefix      = "pvc-"
	growSuffix       = "-grow"
	snapshotPrefix   = "snapshot-"
	snapshotIDPrefix = "snap-"
	snapshotIDHashed = "s-"
	copySuffix       = "-copy"
)

// SnapshotID is the snapshot ID, LogicalVolume name and LV name for a snapshot's name from the orchestrator: snap-<uuid>
// where that is snapshot-<uuid>, else s-<hash>. LVM keeps names that begin with "snapshot" for itself.
func SnapshotID(csiName string) string {
	if uid, ok := strings.CutPrefix(csiName, snapshotPrefix); ok && isUUID(uid) {
		return snapshotIDPrefix + uid
	}
	sum := sha256.Sum256([]byte(csiName))
	return snapshotIDHashed + hex.EncodeToString(sum[:16])
}

// IsSnapshotID tells a snapshot ID from a volume ID, which never looks like one.
func IsSnapshotID(id string) bool {
	return strings.HasPrefix(id, snapshotIDPrefix) || strings.HasPrefix(id, snapshotIDHashed)
}

// CopyName is the name of the LV that holds a volume's source still while it is copied. No volume ID ends like it.
func CopyName(volumeID string) string { return volumeID + copySuffix }

// VolumeID is the volume ID, LogicalVolume name and LV name for a name from the orchestrator: the name itself where
// it is pvc-<uuid>, else v-<hash>. LVM allows fewer than 128 characters, not all that CSI allows, and keeps some
// names for itself; neither form runs into any of that.
func VolumeID(csiName string) string {
	if _, ok := ClaimUID(csiName); ok {
		return csiName
	}
	sum := sha256.Sum256([]byte(csiName))
	return "v-" + hex.EncodeToString(sum[:16])
}

// ClaimUID is the UID of the claim that a volume was made for, where the volume ID tells it.
func ClaimUID(volumeID string) (uid string, ok bool) {
	uid, ok = strings.CutPrefix(volumeID, claimPrefix)
	if !ok || !isUUID(uid) {
		return "", false
	}
	return uid, true
}

// GrowName is the name of the LV whose extents are zeroed for a volume that is to grow. No volume ID ends like it.
func GrowName(volumeID string) string { return volumeID + growSuffix }

// Grows tells for which volume an LV's extents are zeroed, by its name and tags; ok is false for any other LV.
func (lv LogicalVolume) Grows() (volumeID string, ok bool) {
	volumeID, ok = strings.CutSuffix(lv.Name, growSuffix)
	tags := ParseTags(lv.Tags)
	if !ok || !tags.Owned || !tags.Grow {
		return "", false
	}
	return volumeID, true
}

// Holds tells for which volume an LV holds the source still, by its name and tags; ok is false for any other LV.
func (lv LogicalVolume) Holds() (volumeID string, ok bool) {
	volumeID, ok = strings.CutSuffix(lv.Name, copySuffix)
	tags := ParseTags(lv.Tags)
	if !ok || !tags.Owned || !tags.Copy {
		return "", false
	}
	return volumeID, true
}

// SnapshotUID is the UID of the VolumeSnapshot that a snapshot was made for, where the snapshot ID tells it.
func SnapshotUID(snapshotID string) (uid string, ok bool) {
	uid, ok = strings.CutPrefix(snapshotID, snapshotIDPrefix)
	if !ok || !isUUID(uid) {
		return "", false
	}
	return uid, true
}

// isUUID accepts the one form that the API server writes: 8-4-4-4-12 lower-case hexadecimal digits.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (s[i] == '-') || !hyphen && !strings.ContainsRune("0123456789abcdef", rune(s[i])) {
			return false
		}
	}
	return true
}
