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
	// TagLUKS is added when the LV holds its LUKS header and what belongs inside; without it both are made at the next
	// stage. With it they are never made again.
	TagLUKS = "berth.dev/luks"
	// TagAdopt is an operator's, on an LV that is not Berth's: it may become a volume. It goes when it has.
	TagAdopt = "berth.dev/adopt"
	tagClaim = "berth.dev/claim="
	tagClass = "berth.dev/class="
	tagFS    = "berth.dev/fs="
)

// VolumeTags is what an LV's tags say of the volume.
type VolumeTags struct {
	Owned bool
	Ready bool
	// Grow is true of an LV whose extents are on their way into a volume.
	Grow bool
	// ClaimNamespace and ClaimName are empty when unknown.
	ClaimNamespace, ClaimName string
	DeviceClass               string
	// FSType is empty for a block volume.
	FSType string
}

// Strings returns the tags in LVM's form, TagOwned, TagReady and TagGrow included where set. Kubernetes names and device class names
// use only characters that LVM allows in tags.
func (t VolumeTags) Strings() []string {
	var tags []string
	if t.Owned {
		tags = append(tags, TagOwned)
	}
	if t.Ready {
		tags = append(tags, TagReady)
	}
	if t.Grow {
		tags = append(tags, TagGrow)
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
	return tags
}

// ParseTags reads an LV's tags; unknown ones are passed over.
func ParseTags(tags []string) VolumeTags {
	var t VolumeTags
	for _, tag := range tags {
		if tag == TagOwned {
			t.Owned = true
		} else if tag == TagReady {
			t.Ready = true
		} else if tag == TagGrow {
			t.Grow = true
		} else if claim, ok := strings.CutPrefix(tag, tagClaim); ok {
			t.ClaimNamespace, t.ClaimName, _ = strings.Cut(claim, "/")
		} else if class, ok := strings.CutPrefix(tag, tagClass); ok {
			t.DeviceClass = class
		} else if fs, ok := strings.CutPrefix(tag, tagFS); ok {
			t.FSType = fs
		}
	}
	return t
}
