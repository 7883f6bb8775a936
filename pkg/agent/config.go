package agent

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Config is what one node serves.
type Config struct {
	VolumeGroups  []VolumeGroupConfig
	DeviceClasses []lvm.DeviceClass
	// ThinPools are those that the device classes name, each once.
	ThinPools []ThinPoolConfig
}

// VolumeGroupConfig is a volume group to use and the bytes of it to hold back.
type VolumeGroupConfig struct {
	Name string
	// SpareBytes are never given out.
	SpareBytes int64
	// GrowthReserveBytes are held back for growth that the agent makes: in a Config in force what is left of them.
	GrowthReserveBytes int64
	// Devices are patterns of paths; empty disks that they lead to are put into the volume group.
	Devices []string
	// LoopFile is a file that is its disk, instead of Devices; nil for none.
	LoopFile *LoopFile
}

// HeldBytes is what new volumes never get.
func (c VolumeGroupConfig) HeldBytes() int64 {
	return lvm.SaturatingAdd(c.SpareBytes, c.GrowthReserveBytes)
}

// Class finds a device class and its volume group.
func (c Config) Class(name string) (lvm.DeviceClass, VolumeGroupConfig, bool) {
	for _, class := range c.DeviceClasses {
		if class.Name == name {
			vg, _ := c.VolumeGroup(class.VolumeGroup)
			return class, vg, true
		}
	}
	return lvm.DeviceClass{}, VolumeGroupConfig{}, false
}

// VolumeGroup finds a volume group by name.
func (c Config) VolumeGroup(name string) (VolumeGroupConfig, bool) {
	for _, vg := range c.VolumeGroups {
		if vg.Name == name {
			return vg, true
		}
	}
	return VolumeGroupConfig{}, false
}

// VolumeGroupNames are the names in the configuration's order.
func (c Config) VolumeGroupNames() []string {
	names := make([]string, 0, len(c.VolumeGroups))
	for _, vg := range c.VolumeGroups {
		names = append(names, vg.Name)
	}
	return names
}

// ConfigFile is the agents' common configuration: what every node serves, and what some nodes serve instead.
type ConfigFile struct {
	base      Config
	overrides []override
}

type override struct {
	selector labels.Selector
	config   Config
}

// ForNode is the configuration of a node with these labels: the first override whose selector matches, else the
// file's own.
func (f *ConfigFile) ForNode(nodeLabels map[string]string) Config {
	for _, o := range f.overrides {
		if o.selector.Matches(labels.Set(nodeLabels)) {
			return o.config
		}
	}
	return f.base
}

// Names that LVM takes for a volume group (lvm(8), "Valid names") and that a StorageClass parameter, a label and an
// LVM tag all take for a device class.
var (
	volumeGroupName = regexp.MustCompile(`^[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]{0,126}$`)
	deviceClassName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)
)

// validate finds what is wrong between the entries of one configuration. where is the prefix of its fields' names.
func (c Config) validate(where string) error {
	groups := map[string]bool{}
	for i, vg := range c.VolumeGroups {
		field := fmt.Sprintf("%svolumeGroups[%d].name", where, i)
		if !volumeGroupName.MatchString(vg.Name) || vg.Name == "." || vg.Name == ".." {
			return fmt.Errorf("%s: %q is not the name of a volume group", field, vg.Name)
		}
		if groups[vg.Name] {
			return fmt.Errorf("%s: %q is listed twice", field, vg.Name)
		}
		groups[vg.Name] = true
		if err := c.validateSupply(where, i); err != nil {
			return err
		}
	}
	return c.validateClasses(where, groups)
}

func (c Config) validateClasses(where string, groups map[string]bool) error {
	classes := map[string]bool{}
	defaultClass := ""
	for i, class := range c.DeviceClasses {
		field := fmt.Sprintf("%sdeviceClasses[%d]", where, i)
		if !deviceClassName.MatchString(class.Name) {
			return fmt.Errorf("%s.name: %q is not a name of lower-case letters, digits, '-' and '.', 63 at most", field, class.Name)
		}
		if classes[class.Name] {
			return fmt.Errorf("%s.name: %q is listed twice", field, class.Name)
		}
		classes[class.Name] = true
		if !groups[class.VolumeGroup] {
			return fmt.Errorf("%s.volumeGroup: %q is not listed under volumeGroups", field, class.VolumeGroup)
		}
		if class.Default && defaultClass != "" {
			return fmt.Errorf("%s.default: %q and %q are both the default", field, defaultClass, class.Name)
		}
		if class.Default {
			defaultClass = class.Name
		}
	}
	return nil
}
