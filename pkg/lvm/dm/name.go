package dm

import "strings"

// directory is where device-mapper's nodes are, named by Name.
const directory = "/dev/mapper/"

// uuidPrefix starts the uuid of every device that LVM made.
const uuidPrefix = "LVM-"

// Name is the device-mapper name of an LV: both names with their hyphens doubled, joined by a single one.
func Name(volumeGroup, logicalVolume string) string {
	return double(volumeGroup) + "-" + double(logicalVolume)
}

// Path is the device node of an LV.
func Path(volumeGroup, logicalVolume string) string {
	return directory + Name(volumeGroup, logicalVolume)
}

// UUIDPrefix starts the device-mapper uuid of every LV of the VG with this LVM uuid.
func UUIDPrefix(volumeGroupUUID string) string {
	return uuidPrefix + strings.ReplaceAll(volumeGroupUUID, "-", "")
}

func double(name string) string {
	return strings.ReplaceAll(name, "-", "--")
}
