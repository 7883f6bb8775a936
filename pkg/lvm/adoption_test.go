package lvm

import (
	"strings"
	"testing"
)

func TestUnadoptable(t *testing.T) {
	raid := DeviceClass{Name: "safe", Layout: Layout{Type: LayoutRAID1, Mirrors: 2}}
	thin := DeviceClass{Name: "thin", Layout: Layout{Type: LayoutThin, ThinPool: "pool0", OverprovisionPercent: 100}}
	for _, test := range []struct {
		name   string
		class  DeviceClass
		change func(lv *LogicalVolume)
		want   string
	}{
		{name: "linear", change: func(*LogicalVolume) {}},
		{name: "RAID of the class", class: raid, change: func(lv *LogicalVolume) {
			lv.Type, lv.Legs = LayoutRAID1, [][]string{{"/dev/a"}, {"/dev/b"}}
		}},
		{name: "thin in the class's pool", class: thin, change: func(lv *LogicalVolume) { lv.Type, lv.ThinPool, lv.Origin = LayoutThin, "pool0", "other" }},
		{name: "no tag", change: func(lv *LogicalVolume) { lv.Tags = []string{"berth.dev/adopted"} }, want: "tag berth.dev/adopt"},
		{name: "open", change: func(lv *LogicalVolume) { lv.Open = true }, want: "in use"},
		{name: "broken", change: func(lv *LogicalVolume) { lv.Health = "partial" }, want: `"partial"`},
		{name: "snapshot", change: func(lv *LogicalVolume) { lv.Origin = "data" }, want: "snapshot of data"},
		{name: "pool", change: func(lv *LogicalVolume) { lv.Type = TypeThinPool }, want: "it is thin-pool"},
		{name: "unknown to Berth", change: func(lv *LogicalVolume) { lv.Type = "cache" }, want: "it is cache"},
		{name: "other layout", class: raid, change: func(*LogicalVolume) {}, want: "it is linear, and volumes of device class safe are raid1"},
		{name: "other pool", class: thin, change: func(lv *LogicalVolume) { lv.Type, lv.ThinPool = LayoutThin, "pool1" }, want: "thin pool pool1"},
		{name: "other number of copies", class: raid, change: func(lv *LogicalVolume) {
			lv.Type, lv.Legs = LayoutRAID1, [][]string{{"/dev/a"}, {"/dev/b"}, {"/dev/c"}}
		}, want: "3 legs"},
		{name: "legs together", class: raid, change: func(lv *LogicalVolume) {
			lv.Type, lv.Legs = LayoutRAID1, [][]string{{"/dev/a"}, {"/dev/a"}}
		}, want: "not apart"},
		{name: "name of a helper", change: func(lv *LogicalVolume) { lv.Name = "data-grow" }, want: "Berth's own"},
		{name: "encrypted class", class: DeviceClass{Name: "secret", Encryption: EncryptionLUKS2}, change: func(*LogicalVolume) {}, want: "encrypted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			lv := LogicalVolume{Name: "data", Type: LayoutLinear, Tags: []string{"x", TagAdopt}}
			test.change(&lv)
			if got := lv.Unadoptable(test.class); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
