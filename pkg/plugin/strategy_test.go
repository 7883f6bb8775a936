package plugin

import (
	"math"
	"slices"
	"testing"

	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

func TestStrategies(t *testing.T) {
	for _, test := range []struct {
		name      string
		left      []int64
		wantMost  []int64
		wantLeast []int64
	}{
		// 100 × 10 ÷ 40 = 25, 100 × 20 ÷ 40 = 50; the other way 10 ÷ 20 = 50, 10 ÷ 40 = 25
		{"in proportion", []int64{10, 20, 40}, []int64{25, 50, 100}, []int64{100, 50, 25}},
		// 100 × 999 ÷ 1000 = 99.9, rounded down to 99
		{"strictly highest by one byte in a thousand", []int64{999, 1000}, []int64{99, 100}, []int64{100, 99}},
		// 100 × (2⁶²−1) ÷ 2⁶² rounds down to 99; 100 × 2⁶² overflows an int64
		{"by one byte in 2⁶²", []int64{1<<62 - 1, 1 << 62}, []int64{99, 100}, []int64{100, 99}},
		{"equal nodes are equal", []int64{7, 7, 3}, []int64{100, 100, 42}, []int64{42, 42, 100}},
		{"nothing left anywhere", []int64{0, 0}, []int64{100, 100}, []int64{100, 100}},
		{"nothing left on one", []int64{0, 8}, []int64{0, 100}, []int64{100, 0}},
		{"unknown is lowest", []int64{unknownLeft, 5}, []int64{0, 100}, []int64{0, 100}},
		{"all unknown", []int64{unknownLeft, unknownLeft}, []int64{0, 0}, []int64{0, 0}},
		{"largest int64", []int64{math.MaxInt64, math.MaxInt64 / 2}, []int64{100, 49}, []int64{49, 100}},
		{"no nodes", nil, []int64{}, []int64{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := mostFree(test.left); !slices.Equal(got, test.wantMost) {
				t.Errorf("MostFree: %v, want %v", got, test.wantMost)
			}
			if got := leastFree(test.left); !slices.Equal(got, test.wantLeast) {
				t.Errorf("LeastFree: %v, want %v", got, test.wantLeast)
			}
		})
	}
}

func TestWeightedLeft(t *testing.T) {
	weights := map[string]int64{"one": 1, "three": 3}
	for _, test := range []struct {
		name    string
		classes []capacity.ClassLeft
		want    int64
	}{
		{"one class, exactly", []capacity.ClassLeft{{DeviceClass: "three", LeftBytes: 12345}}, 12345},
		// (1×10 + 3×30) ÷ 4 = 25
		{"two classes", []capacity.ClassLeft{{DeviceClass: "one", LeftBytes: 10}, {DeviceClass: "three", LeftBytes: 30}}, 25},
		// (1×1 + 3×2) ÷ 4 = 1.75, rounded down
		{"rounded down", []capacity.ClassLeft{{DeviceClass: "one", LeftBytes: 1}, {DeviceClass: "three", LeftBytes: 2}}, 1},
		{"no overflow", []capacity.ClassLeft{{DeviceClass: "one", LeftBytes: math.MaxInt64}, {DeviceClass: "three", LeftBytes: math.MaxInt64}}, math.MaxInt64},
		{"nothing to place", nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := weightedLeft(test.classes, func(class string) int64 { return weights[class] }); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		name                string
		left                int64
		beingMade           int
		wantMost, wantLeast int64
	}{
		{"nothing in flight: bytes, exactly", 12345, 0, 12345, 12345},
		// 12 ÷ (1+2), 12 × (1+2)
		{"two in flight", 12, 2, 4, 36},
		{"no overflow", math.MaxInt64 / 2, 2, math.MaxInt64 / 6, math.MaxInt64},
		{"nothing left", 0, 3, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := MostFree.spread(test.left, test.beingMade); got != test.wantMost {
				t.Errorf("MostFree: %d, want %d", got, test.wantMost)
			}
			if got := LeastFree.spread(test.left, test.beingMade); got != test.wantLeast {
				t.Errorf("LeastFree: %d, want %d", got, test.wantLeast)
			}
		})
	}
}

// Thirty small volumes at once over nodes with 20, 12 and 8 GiB: shared out as the bytes are, 15, 9 and 6.
func TestSpreadSharesOutABurst(t *testing.T) {
	free := []int64{20 << 30, 12 << 30, 8 << 30}
	const size = 1 << 20
	counts := make([]int, len(free))
	for range 30 {
		ranks := make([]int64, len(free))
		for i := range free {
			ranks[i] = MostFree.spread(free[i]-size*int64(counts[i]+1), counts[i])
		}
		counts[slices.Index(mostFree(ranks), 100)]++
	}
	if want := []int{15, 9, 6}; !slices.Equal(counts, want) {
		t.Errorf("shared out as %v, want %v", counts, want)
	}
}
