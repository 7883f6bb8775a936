package lvm

import (
	"fmt"
	"math"
	"math/bits"
)

// MaxBytes is the largest number of bytes there is.
const MaxBytes = int64(math.MaxInt64)

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

// multiply multiplies two non-negative numbers and stops at the largest int64.
func multiply(a, b int64) int64 {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high > 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low)
}

// ceilDiv divides a non-negative number by a positive one and rounds up.
func ceilDiv(a, b int64) int64 {
	if a%b == 0 {
		return a / b
	}
	return a/b + 1
}

// share is part/whole of bytes, rounded down, for a positive whole; it stops at the largest int64.
func share(bytes, part, whole int64) int64 {
	high, low := bits.Mul64(uint64(bytes), uint64(part))
	if high >= uint64(whole) {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, uint64(whole))
	if quotient > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(quotient)
}
