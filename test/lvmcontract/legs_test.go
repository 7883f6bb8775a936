//go:build lab

package lvmcontract

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	lvmapi "github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmcli"
)

// TestLegsFromFragments makes the largest volumes of each layout that fit where free extents lie scattered, and extends
// smaller ones to that.
func TestLegsFromFragments(t *testing.T) {
	devices := newGroup(t, 5)
	manager := lvmcli.New(lvmcli.Options{})
	random := rand.New(rand.NewPCG(1, 2))
	// Once as large as fits, once grown to that; the oracle has the many cases.
	for i := range 2 {
		for _, layout := range []lvmapi.Layout{
			{Type: lvmapi.LayoutStriped, Stripes: 3},
			{Type: lvmapi.LayoutRAID1, Mirrors: 2},
			{Type: lvmapi.LayoutRAID5, Stripes: 2},
			{Type: lvmapi.LayoutRAID6, Stripes: 3},
			{Type: lvmapi.LayoutRAID10, Stripes: 2, Mirrors: 2},
		} {
			fragment(t, devices[:5], random)
			vg := groupNow(t, manager)
			request := lvmapi.Request{SizeBytes: vg.Space(0).MaximumVolumeBytes(layout), Layout: layout}
			if i%2 == 1 {
				request.SizeBytes = request.SizeBytes / 2
			}
			makeAndGrow(t, manager, request)
			if t.Failed() {
				t.Fatalf("case %d: %+v", i, request)
			}
			lvm(t, "lvremove", "--force", "--yes", group)
		}
	}
}

// fragment takes runs of extents here and there.
func fragment(t *testing.T, devices []string, random *rand.Rand) {
	t.Helper()
	arguments, taken := []string{"lvcreate", "--yes", "--activate", "n", "--zero", "n", "--wipesignatures", "n", "--name", "filler", group}, 0
	for _, device := range devices {
		ranges := device
		for at := random.IntN(4); at < 30; at += 1 + random.IntN(5) {
			length := min(1+random.IntN(3), 31-at)
			ranges += fmt.Sprintf(":%d-%d", at, at+length-1)
			taken += length
			at += length
		}
		arguments = append(arguments, ranges)
	}
	lvm(t, append(arguments, "--extents", fmt.Sprint(taken))...)
}

// makeAndGrow makes a volume where Place wants it, and extends it as far as its legs can be.
func makeAndGrow(t *testing.T, manager *lvmcli.Manager, request lvmapi.Request) {
	t.Helper()
	vg := groupNow(t, manager)
	placement, err := vg.Space(0).Place(request)
	if err != nil {
		t.Fatal(err)
	}
	create := lvmapi.CreateRequest{VolumeGroup: group, Name: "a", Layout: request.Layout, SizeBytes: placement.SizeBytes, PhysicalVolumes: placement.PhysicalVolumes}
	if err := manager.Create(context.Background(), create); err != nil {
		t.Errorf("create on %v: %v", placement.PhysicalVolumes, err)
		return
	}
	vg = groupNow(t, manager)
	lv, _ := vg.LogicalVolume("a")
	if !lv.Made(request.Layout, placement.SizeBytes) {
		t.Errorf("volume %+v, want %d bytes with its legs apart", lv, placement.SizeBytes)
	}
	request.IncludedBytes = lv.SizeBytes
	request.SizeBytes = lv.SizeBytes + 3*vg.ExtentSizeBytes
	growth, err := vg.Space(0).PlaceGrowth(request, lv)
	if err != nil { // it was the largest already
		return
	}
	extend := lvmapi.ExtendRequest{VolumeGroup: group, Name: "a", Layout: request.Layout, SizeBytes: growth.SizeBytes, PhysicalVolumes: growth.PhysicalVolumes}
	if err := manager.Extend(context.Background(), extend); err != nil {
		t.Errorf("extend on %v: %v", growth.PhysicalVolumes, err)
	}
	vg = groupNow(t, manager)
	if lv, _ := vg.LogicalVolume("a"); !lv.Made(request.Layout, growth.SizeBytes) {
		t.Errorf("volume %+v, want %d bytes with its legs apart", lv, growth.SizeBytes)
	}
}
