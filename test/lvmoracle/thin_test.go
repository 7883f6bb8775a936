//go:build lab

package lvmoracle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// TestThinVolumes: a thin volume takes no extents, and of its pool what the arithmetic says, up to the ratio and not a
// byte more.
func TestThinVolumes(t *testing.T) {
	g := newGroup(t)
	output, before := g.run(t, fmt.Sprintf("lvcreate --config '%s' --yes --type thin-pool --size %db --poolmetadatasize 2m --name pool %s", config, 8*extent, name))
	if !strings.Contains(output, `"pool" created`) {
		t.Fatal(output)
	}
	layout := lvm.Layout{Type: lvm.LayoutThin, ThinPool: "pool", OverprovisionPercent: 250}
	// 8 × 250 % = 20, of which these take 1 + 1 + 2 + 7 + 9.
	for i, bytes := range []int64{1, extent, extent + 1, 7*extent - 511, 9 * extent} {
		space := g.space(before)
		space.ThinPools = []lvm.ThinPool{g.pool(t)}
		placement, err := space.Place(lvm.Request{SizeBytes: bytes, Layout: layout})
		if err != nil {
			t.Fatalf("volume %d: %v", i, err)
		}
		output, after := g.run(t, fmt.Sprintf("lvcreate --config '%s' --yes --virtualsize %db --thinpool %s/%s --wipesignatures n --name t%d",
			config, (bytes+511)/512*512, name, placement.ThinPool, i))
		if !slices.Equal(after.counts(), before.counts()) {
			t.Errorf("volume %d: %v free, want %v\n%s", i, after.counts(), before.counts(), output)
		}
		if got := g.pool(t).VirtualBytes - space.ThinPools[0].VirtualBytes; got != placement.SizeBytes {
			t.Errorf("volume %d is of %d bytes, want %d\n%s", i, got, placement.SizeBytes, output)
		}
	}
	space := g.space(before)
	space.ThinPools = []lvm.ThinPool{g.pool(t)}
	if _, err := space.Place(lvm.Request{SizeBytes: 1, Layout: layout}); err == nil {
		t.Errorf("one byte more than %+v was placed", space.ThinPools[0])
	}
}

// pool is the pool as LVM reports it.
func (g *group) pool(t *testing.T) lvm.ThinPool {
	t.Helper()
	output := g.shell.run(t, fmt.Sprintf("lvs --config '%s' --noheadings --nameprefixes --units b --nosuffix"+
		" -o lv_name,pool_lv,lv_size,data_percent,lv_metadata_size,metadata_percent %s", config, name))
	p := lvm.ThinPool{}
	for line := range strings.Lines(output) {
		size := int64(number(t, line, "LV_SIZE"))
		if field(line, "POOL_LV") == "pool" {
			p.VirtualBytes += size
		} else if field(line, "LV_NAME") == "pool" {
			p.Name, p.SizeBytes, p.MetadataSizeBytes = "pool", size, int64(number(t, line, "LV_METADATA_SIZE"))
			p.DataUsedBytes = percentOf(t, line, "DATA_PERCENT", p.SizeBytes)
			p.MetadataUsedBytes = percentOf(t, line, "METADATA_PERCENT", p.MetadataSizeBytes)
		}
	}
	return p
}

func percentOf(t *testing.T, line, column string, bytes int64) int64 {
	t.Helper()
	percent, err := strconv.ParseFloat(field(line, column), 64)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return int64(percent / 100 * float64(bytes))
}
