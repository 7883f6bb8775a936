package lvm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Unadoptable says why an LV of an operator's cannot become a volume of a device class; empty if it can.
func (lv LogicalVolume) Unadoptable(class DeviceClass) string {
	switch {
	case !slices.Contains(lv.Tags, TagAdopt):
		return fmt.Sprintf("it does not carry the tag %s", TagAdopt)
	case lv.Open:
		return "it is in use"
	case lv.Health != "":
		return fmt.Sprintf("LVM calls it %q", lv.Health)
	case lv.Origin != "" && lv.ThinPool == "":
		return fmt.Sprintf("it is a snapshot of %s, which changes with it", lv.Origin)
	case strings.HasSuffix(lv.Name, growSuffix) || strings.HasSuffix(lv.Name, copySuffix):
		return fmt.Sprintf("names that end in %s and %s are Berth's own", growSuffix, copySuffix)
	case class.Encryption != "":
		return fmt.Sprintf("volumes of device class %s are encrypted", class.Name)
	}
	return lv.otherLayout(class)
}

// otherLayout says how an LV differs from the volumes of a class: it would not grow as they do, and its growth would not
// be counted as it is.
func (lv LogicalVolume) otherLayout(class DeviceClass) string {
	layout := class.Layout
	wanted := cmp.Or(layout.Type, LayoutLinear)
	switch {
	case lv.Type != wanted:
		return fmt.Sprintf("it is %s, and volumes of device class %s are %s", lv.Type, class.Name, wanted)
	case lv.ThinPool != layout.ThinPool:
		return fmt.Sprintf("it is in thin pool %s, and volumes of device class %s are in %s", lv.ThinPool, class.Name, layout.ThinPool)
	case len(lv.Legs) != layout.Legs():
		return fmt.Sprintf("it has %d legs, and volumes of device class %s have %d", len(lv.Legs), class.Name, layout.Legs())
	case !lv.LegsApart():
		return fmt.Sprintf("its legs are not apart: %v", lv.Legs)
	}
	return ""
}
