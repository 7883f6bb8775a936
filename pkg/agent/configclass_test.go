package agent

import (
	"reflect"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

const allKinds = `
volumeGroups: [{name: vg0}, {name: vg1}]
deviceClasses:
- {name: plain, volumeGroup: vg0}
- {name: linear, volumeGroup: vg0, layout: {type: linear}}
- {name: striped, volumeGroup: vg0, layout: {type: striped, stripes: 3, stripeSize: 128Ki}}
- {name: raid1, volumeGroup: vg0, layout: {type: raid1}}
- {name: raid5, volumeGroup: vg0, layout: {type: raid5}}
- {name: raid6, volumeGroup: vg0, layout: {type: raid6}}
- {name: raid10, volumeGroup: vg0, layout: {type: raid10, mirrors: 3}}
- {name: secret, volumeGroup: vg0, layout: {type: raid1}, encryption: luks2}
- {name: thin, volumeGroup: vg0, thinPool: {name: pool0, size: 100Gi}}
- {name: thinner, volumeGroup: vg0, thinPool: {name: pool0, overprovisionRatio: 1.5, extendAt: 70, whenFull: queue}}
- {name: other, volumeGroup: vg1, encryption: luks2, thinPool: {name: pool0, metadataSize: 1Gi, extendBy: 50, overprovisionRatio: 10}}
`

func TestDeviceClasses(t *testing.T) {
	file, err := ParseConfig([]byte(allKinds))
	if err != nil {
		t.Fatal(err)
	}
	config := file.ForNode(nil)
	thin := func(percent int64) lvm.Layout {
		return lvm.Layout{Type: lvm.LayoutThin, ThinPool: "pool0", OverprovisionPercent: percent}
	}
	secretThin := thin(1000)
	secretThin.OverheadBytes = lvm.LUKSHeaderBytes
	for name, want := range map[string]lvm.Layout{
		"plain":   {},
		"linear":  {Type: lvm.LayoutLinear},
		"striped": {Type: lvm.LayoutStriped, Stripes: 3, StripeSizeBytes: 128 << 10},
		"raid1":   {Type: lvm.LayoutRAID1, Mirrors: 2},
		"raid5":   {Type: lvm.LayoutRAID5, Stripes: 2},
		"raid6":   {Type: lvm.LayoutRAID6, Stripes: 3},
		"raid10":  {Type: lvm.LayoutRAID10, Stripes: 2, Mirrors: 3},
		"secret":  {Type: lvm.LayoutRAID1, Mirrors: 2, OverheadBytes: lvm.LUKSHeaderBytes},
		"thin":    thin(100),
		"thinner": thin(150),
		"other":   secretThin,
	} {
		class, _, ok := config.Class(name)
		if !ok || class.Layout != want {
			t.Errorf("%s: %+v, want %+v", name, class.Layout, want)
		}
		if encrypted := class.Encryption == lvm.EncryptionLUKS2; encrypted != (want.OverheadBytes > 0) {
			t.Errorf("%s: encryption %q", name, class.Encryption)
		}
	}
	want := []ThinPoolConfig{
		{VolumeGroup: "vg0", Name: "pool0", SizeBytes: 100 * gi, ExtendAtPercent: 70, ExtendByPercent: 20, WhenFull: WhenFullQueue},
		{VolumeGroup: "vg1", Name: "pool0", MetadataSizeBytes: gi, ExtendAtPercent: 80, ExtendByPercent: 50, WhenFull: WhenFullError},
	}
	if !reflect.DeepEqual(config.ThinPools, want) {
		t.Errorf("thin pools %+v, want %+v", config.ThinPools, want)
	}
}
