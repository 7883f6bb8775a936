package lvm_test

import (
	"errors"
	"math"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func TestRoundUp(t *testing.T) {
	for _, c := range []struct {
		name        string
		bytes, unit int64
		want        int64
		wantErr     error
	}{
		{name: "zero", bytes: 0, unit: 4, want: 0},
		{name: "whole units", bytes: 8, unit: 4, want: 8},
		{name: "one more", bytes: 9, unit: 4, want: 12},
		{name: "one less", bytes: 11, unit: 4, want: 12},
		{name: "negative", bytes: -1, unit: 4, wantErr: lvm.ErrInvalidSize},
		{name: "no unit", bytes: 1, unit: 0, wantErr: lvm.ErrInvalidSize},
		// 2^63 - 1 is 3 more than a multiple of 4; the next multiple is 2^63.
		{name: "past the largest", bytes: math.MaxInt64, unit: 4, wantErr: lvm.ErrInvalidSize},
		{name: "the largest multiple", bytes: math.MaxInt64 - 3, unit: 4, want: math.MaxInt64 - 3},
		{name: "the largest itself", bytes: math.MaxInt64, unit: 1, want: math.MaxInt64},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := lvm.RoundUp(c.bytes, c.unit)
			if got != c.want || !errors.Is(err, c.wantErr) {
				t.Errorf("%d (%v), want %d (%v)", got, err, c.want, c.wantErr)
			}
		})
	}
}

func TestSaturatingAdd(t *testing.T) {
	if got := lvm.SaturatingAdd(1, 2); got != 3 {
		t.Errorf("1 + 2 = %d", got)
	}
	if got := lvm.SaturatingAdd(math.MaxInt64-1, 2); got != math.MaxInt64 {
		t.Errorf("past the largest int64: %d", got)
	}
}
