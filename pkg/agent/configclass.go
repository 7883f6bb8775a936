package agent

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/berth-dev/berth/pkg/lvm"
)

// A device class as it is written. Numbers are pointers, to tell 0 from what is not given.
type (
	deviceClassYAML struct {
		Name        string        `yaml:"name"`
		VolumeGroup string        `yaml:"volumeGroup"`
		Default     bool          `yaml:"default"`
		Layout      *layoutYAML   `yaml:"layout"`
		ThinPool    *thinPoolYAML `yaml:"thinPool"`
		Encryption  string        `yaml:"encryption"`
	}
	layoutYAML struct {
		Type       string    `yaml:"type"`
		Stripes    *int      `yaml:"stripes"`
		StripeSize yaml.Node `yaml:"stripeSize"`
		Mirrors    *int      `yaml:"mirrors"`
	}
)

// layoutTypes are the types that a class may have, with the least stripes and copies of each; 0 where it has none.
var layoutTypes = map[lvm.LayoutType]struct{ stripes, mirrors int }{
	lvm.LayoutLinear:  {},
	lvm.LayoutStriped: {stripes: 2},
	lvm.LayoutRAID1:   {mirrors: 2},
	lvm.LayoutRAID5:   {stripes: 2},
	lvm.LayoutRAID6:   {stripes: 3},
	lvm.LayoutRAID10:  {stripes: 2, mirrors: 2},
}

// leastStripeBytes is the least that LVM puts on one leg before the next; a stripe is a power of two.
const leastStripeBytes = 4 << 10

// deviceClasses converts the classes and gathers the thin pools that they name.
func deviceClasses(where string, entries []deviceClassYAML) ([]lvm.DeviceClass, []ThinPoolConfig, error) {
	var classes []lvm.DeviceClass
	var pools thinPools
	for i, entry := range entries {
		field := fmt.Sprintf("%sdeviceClasses[%d].", where, i)
		class, err := entry.class(field)
		if err != nil {
			return nil, nil, err
		}
		if entry.ThinPool != nil {
			if err := pools.add(field+"thinPool.", entry.VolumeGroup, *entry.ThinPool); err != nil {
				return nil, nil, err
			}
		}
		classes = append(classes, class)
	}
	return classes, pools.withDefaults(), nil
}

func (e deviceClassYAML) class(where string) (lvm.DeviceClass, error) {
	class := lvm.DeviceClass{Name: e.Name, VolumeGroup: e.VolumeGroup, Default: e.Default, Encryption: e.Encryption}
	var err error
	switch {
	case e.Layout != nil && e.ThinPool != nil:
		err = fmt.Errorf("%sthinPool: the class has a layout, too; volumes in a thin pool lie as the pool does", where)
	case e.Layout != nil:
		class.Layout, err = e.Layout.layout(where + "layout.")
	case e.ThinPool != nil:
		class.Layout, err = e.ThinPool.layout(where + "thinPool.")
	}
	if err != nil {
		return lvm.DeviceClass{}, err
	}
	if e.Encryption != "" && e.Encryption != lvm.EncryptionLUKS2 {
		return lvm.DeviceClass{}, fmt.Errorf("%sencryption: %q is not %s", where, e.Encryption, lvm.EncryptionLUKS2)
	}
	class.Layout.OverheadBytes = headerBytes(e.Encryption)
	return class, nil
}

// headerBytes is what an encryption puts before a volume's bytes.
func headerBytes(encryption string) int64 {
	if encryption == lvm.EncryptionLUKS2 {
		return lvm.LUKSHeaderBytes
	}
	return 0
}

func (l layoutYAML) layout(where string) (lvm.Layout, error) {
	layout := lvm.Layout{Type: lvm.LayoutType(l.Type)}
	least, known := layoutTypes[layout.Type]
	if !known {
		return lvm.Layout{}, fmt.Errorf("%stype: %q is none of linear, striped, raid1, raid5, raid6, raid10", where, l.Type)
	}
	var err error
	if layout.Stripes, err = legCount(where+"stripes", l.Type, l.Stripes, least.stripes); err != nil {
		return lvm.Layout{}, err
	}
	if layout.Mirrors, err = legCount(where+"mirrors", l.Type, l.Mirrors, least.mirrors); err != nil {
		return lvm.Layout{}, err
	}
	if layout.StripeSizeBytes, err = quantity(where+"stripeSize", l.StripeSize); err != nil {
		return lvm.Layout{}, err
	}
	if size := layout.StripeSizeBytes; size > 0 && (least.stripes == 0 || size < leastStripeBytes || size&(size-1) != 0) {
		return lvm.Layout{}, fmt.Errorf("%sstripeSize: %s: a layout with stripes takes a power of two from %s on", where,
			exactBytes(size), exactBytes(leastStripeBytes))
	}
	if err := layout.Validate(); err != nil {
		return lvm.Layout{}, fmt.Errorf("%stype: %w", where, err)
	}
	return layout, nil
}

// legCount reads a number of stripes or copies; the least is the default.
func legCount(field, layoutType string, given *int, least int) (int, error) {
	switch {
	case given == nil:
		return least, nil
	case least == 0:
		return 0, fmt.Errorf("%s: layout %s has none", field, layoutType)
	case *given < least:
		return 0, fmt.Errorf("%s: %d is fewer than layout %s takes: %d", field, *given, layoutType, least)
	}
	return *given, nil
}
