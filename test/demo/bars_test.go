package main

import "testing"

func TestBar(t *testing.T) {
	// 40 characters are the largest volume group: 10 of 20 GiB used is 20 full and 20 light ones.
	for name, test := range map[string]struct {
		size, free, largest int64
		full, light         int
	}{
		"half used, largest": {20 * gib, 10 * gib, 20 * gib, 20, 20},
		"half the largest":   {10 * gib, 10 * gib, 20 * gib, 0, 20},
		"full":               {20 * gib, 0, 20 * gib, 40, 0},
		"nothing reported":   {0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			full, light, length := 0, 0, 0
			for _, r := range bar(test.size, test.free, test.largest) {
				length++
				switch r {
				case '█':
					full++
				case '░':
					light++
				}
			}
			if full != test.full || light != test.light || length != barWidth {
				t.Errorf("%d full and %d light of %d characters, want %d and %d of %d", full, light, length, test.full, test.light, barWidth)
			}
		})
	}
}
