package lvm

import "strings"

// Tags that Berth puts on its LVs. From them an agent can make a lost LogicalVolume object again.
const (
	// TagOwned is on every LV of Berth's and on no other.
	TagOwned = "berth.dev"
	// TagReady is added when the LV is clean and formatted; an LV that carries it is never formatted again.
	TagReady = "berth.dev/ready"
	// TagGrow is on an LV that is no volume: its extents are zeroed for a block volume that is to grow (GrowName).
	TagGrow = "berth.dev/grow"
	// TagSnapshot is on an LV that is a snapshot of another.
	TagSnapshot = "berth.dev/snapshot"
	// TagCopy is on an LV that is neither volume nor snapshot: it holds a volume's source still while it is copied
	// (CopyName).
	TagCopy = "berth.dev/copy"
	// TagFilled is on a volume that was made as a snapshot of its source: it has all bytes, and nothing is to be copied.
	TagFilled = "berth.dev/filled"
	// TagLUKS is added when the LV holds its LUKS header and what belongs inside; without it both are made at the next
	// stage. With it they are never made again.
	TagLUKS = "berth.dev/luks"
	// TagAdopt is an operator's, on an LV that is not Berth's: it may become a volume. It goes when it has.
	TagAdopt  = "berth.dev/adopt"
	tagClaim  = "berth.dev/claim="
	tagClass  = "berth.dev/class="
	tagFS     = "berth.dev/fs="
	tagSource = "berth.dev/source="
)

// VolumeTags is what an LV's tags say of the volume.
type VolumeTags struct {
	Owned bool
	Ready bool
	// Grow is true of an LV whose extents are on their way into a volume.
	Grow bool
	// Snapshot, Copy, Filled and LUKS: see their tags.
	Snapshot, Copy, Filled, LUKS bool
	// ClaimNamespace and ClaimName are empty when unknown.
	ClaimNamespace, ClaimName string
	DeviceClass               string
	// FSType is empty for a block volume.
	FSType string
	// Source is the volume or snapshot that the first bytes are from, or that a snapshot is of; empty for none.
	Source string
}

// Strings returns the tags in LVM's form, those that are one word where they are set. Kubernetes names, device class
// names and volume IDs use only characters that LVM allows in tags.
func (t VolumeTags) Strings() []string {
	var tags []string
	for _, word := range t.words() {
		if *word.set {
			tags = append(tags, word.tag)
		}
	}
	if t.ClaimName != "" {
		tags = append(tags, tagClaim+t.ClaimNamespace+"/"+t.ClaimName)
	}
	if t.DeviceClass != "" {
		tags = append(tags, tagClass+t.DeviceClass)
	}
	if t.FSType != "" {
		tags = append(tags, tagFS+t.FSType)
	}
	if t.Source != "" {
		tags = append(tags, tagSource+t.Source)
	}
	return tags
}

// word is a tag that says something by being there.
type word struct {
	tag string
	set *bool
}

func (t *VolumeTags) words() []word {
	return []word{
		{TagOwned, &t.Owned}, {TagReady, &t.Ready}, {TagGrow, &t.Grow}, {TagSnapshot, &t.Snapshot}, {TagCopy, &t.Copy},
		{TagFilled, &t.Filled}, {TagLUKS, &t.LUKS},
	}
}

// ParseTags reads an LV's tags; unknown ones are passed over.
func ParseTags(tags []string) VolumeTags {
	var t VolumeTags
	words := t.words()
	for _, tag := range tags {
		for _, word := range words {
			*word.set = *word.set || tag == word.tag
		}
		if claim, ok := strings.CutPrefix(tag, tagClaim); ok {
			t.ClaimNamespace, t.ClaimName, _ = strings.Cut(claim, "/")
		} else if class, ok := strings.CutPrefix(tag, tagClass); ok {
			t.DeviceClass = class
		} else if fs, ok := strings.CutPrefix(tag, tagFS); ok {
			t.FSType = fs
		} else if source, ok := strings.CutPrefix(tag, tagSource); ok {
			t.Source = source
		}
	}
	return t
}
