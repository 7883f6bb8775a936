package lvm_test

import (
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func BenchmarkCheck(b *testing.B) {
	var scarce []int64
	for i := range int64(12) {
		scarce = append(scarce, 80+i)
	}
	for _, c := range []struct {
		name     string
		space    *lvm.Space
		requests []lvm.Request
	}{
		{"linear", space(0, 1000, 1000, 1000, 1000).Promise(of(linear, 1, 2, 3, 4)), of(linear, 1)},
		{"copies with room", space(0, 1000, 1000, 1000, 1000).Promise(of(raid1, 1, 2, 3, 4)), of(raid1, 1)},
		{"eight unlike copies with little room", space(0, 30, 30, 30, 30).Promise(of(raid1, 2, 3, 4, 5, 6, 7, 8)), of(raid1, 9)},
		{"past the limit", space(0, scarce...), of(raid10, 20, 24, 26, 30, 32, 36, 38, 42, 44, 48)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = c.space.Check(c.requests)
			}
		})
	}
}
