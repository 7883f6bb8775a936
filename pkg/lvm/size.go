package lvm

import (
	"fmt"
	"math"
)

// RoundUp rounds bytes up to whole units of unit bytes. bytes must not be negative and unit must be positive.
// Errors: ErrInvalidSize when the result does not fit in an int64.
func RoundUp(bytes, unit int64) (int64, error) {
	if bytes < 0 || unit <= 0 {
		return 0, fmt.Errorf("round %d up to units of %d bytes: %w", bytes, unit, ErrInvalidSize)
	}
	rest := bytes % unit
	if rest == 0 {
		return bytes, nil
	}
	if bytes > math.MaxInt64-(unit-rest) {
		return 0, fmt.Errorf("round %d up to units of %d bytes: %w", bytes, unit, ErrInvalidSize)
	}
	return bytes + unit - rest, nil
}

// SaturatingAdd adds two non-negative numbers of bytes and stops at the largest int64.
func SaturatingAdd(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
