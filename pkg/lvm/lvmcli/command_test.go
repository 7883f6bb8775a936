package lvmcli

import (
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func TestArguments(t *testing.T) {
	create := func(layout lvm.Layout, on ...string) []string {
		return createArguments(lvm.CreateRequest{VolumeGroup: "vg0", Name: "a", Layout: layout, SizeBytes: 8 * mib,
			Tags: []string{"berth.dev/fs=xfs"}, PhysicalVolumes: on}, nil)
	}
	pool := lvm.PoolRequest{VolumeGroup: "vg0", Name: "pool", SizeBytes: 64 * mib, MetadataSizeBytes: 8 * mib, PhysicalVolumes: []string{"/dev/a"}}
	snapshot := lvm.SnapshotRequest{VolumeGroup: "vg0", Name: "s", Origin: "a", Tags: []string{lvm.TagSnapshot}}
	thick := snapshot
	thick.SizeBytes, thick.PhysicalVolumes = 4*mib, []string{"/dev/a"}
	const made = " --size 8388608b --addtag berth.dev --addtag berth.dev/fs=xfs --name a vg0 /dev/a /dev/b"
	for _, c := range []struct {
		name string
		got  []string
		want string
	}{
		{"linear", create(lvm.Layout{}, "/dev/a", "/dev/b"), "lvcreate --yes --type linear --wipesignatures y --zero y" + made},
		{"striped", create(lvm.Layout{Type: lvm.LayoutStriped, Stripes: 2, StripeSizeBytes: 128 << 10}, "/dev/a", "/dev/b"), "lvcreate --yes --type striped --stripes 2 --stripesize 131072b --wipesignatures y --zero y" + made},
		{"raid1", create(lvm.Layout{Type: lvm.LayoutRAID1, Mirrors: 2}, "/dev/a", "/dev/b"), "lvcreate --yes --type raid1 --mirrors 1 --wipesignatures y --zero y" + made},
		{"raid10", create(lvm.Layout{Type: lvm.LayoutRAID10, Stripes: 3, Mirrors: 2}, "/dev/a", "/dev/b"), "lvcreate --yes --type raid10 --stripes 3 --mirrors 1 --wipesignatures y --zero y" + made},
		{"thin", create(lvm.Layout{Type: lvm.LayoutThin, ThinPool: "pool"}), "lvcreate --yes --type thin --wipesignatures n --virtualsize 8388608b --thinpool vg0/pool --addtag berth.dev --addtag berth.dev/fs=xfs --name a"},
		{"pool", poolArguments(pool, nil), "lvcreate --yes --type thin-pool --zero y --discards passdown --size 67108864b --poolmetadatasize 8388608b --poolmetadataspare y --addtag berth.dev --name pool vg0 /dev/a"},
		{"pool's data", extendPoolArguments(pool, lvm.ThinPool{SizeBytes: 32 * mib, MetadataSizeBytes: 8 * mib}, nil), "lvextend --yes --size 67108864b vg0/pool /dev/a"},
		{"pool's metadata", extendPoolArguments(pool, lvm.ThinPool{SizeBytes: 64 * mib, MetadataSizeBytes: 4 * mib}, nil), "lvextend --yes --poolmetadatasize 8388608b vg0/pool /dev/a"},
		{"thin snapshot", snapshotArguments(snapshot, nil), "lvcreate --yes --snapshot --setactivationskip n --addtag berth.dev --addtag berth.dev/snapshot --name s vg0/a"},
		{"thick snapshot", snapshotArguments(thick, nil), "lvcreate --yes --snapshot --size 4194304b --addtag berth.dev --addtag berth.dev/snapshot --name s vg0/a /dev/a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(c.got, " "); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}
