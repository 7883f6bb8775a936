package plugin

import (
	"math"
	"math/bits"

	fwk "k8s.io/kube-scheduler/framework"

	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

// unknownLeft stands for a node whose bytes left cannot be told; it scores lowest with every strategy.
const unknownLeft int64 = -1

// weightedLeft is the mean of the bytes left behind the pod's device classes, weighted:
//
//	Σ weight × left ÷ Σ weight
//
// With one class it is that class's bytes, exactly. A mean rather than the tightest class: with the tightest, a small
// volume group that every node has alike would hide the large one in which they differ. A class that must decide gets
// a weight.
func weightedLeft(classes []capacity.ClassLeft, weight func(class string) int64) int64 {
	var weights int64
	for _, class := range classes {
		weights += weight(class.DeviceClass)
	}
	if weights == 0 {
		// All of the pod's claims have their volume here already.
		return 0
	}
	var whole, rest int64
	for _, class := range classes {
		w := weight(class.DeviceClass)
		// Divided before it is multiplied: the product may not fit in an int64, the mean always does.
		whole += class.LeftBytes / weights * w
		rest += class.LeftBytes % weights * w
	}
	return whole + rest/weights
}

// spread makes a node count for less, the more volumes it is still making:
//
//	MostFree   left ÷ (1 + being made)
//	LeastFree  left × (1 + being made)
//
// By bytes alone a burst of small volumes all goes to the emptiest node, whose agent makes them one after another. This
// shares a burst out in proportion to bytes left (D'Hondt's way of giving seats), and does nothing where pods come one by
// one.
func (s Strategy) spread(left int64, beingMade int) int64 {
	share := 1 + int64(beingMade)
	if s == MostFree {
		return left / share
	}
	if left > math.MaxInt64/share {
		return math.MaxInt64
	}
	return left * share
}

// mostFree ranks by bytes left:
//
//	100                                for the most
//	min(100 × left ÷ most, 99)         for the others
//
// so that the node with the most bytes left is strictly highest, however small the difference, and equal nodes are
// equal.
func mostFree(left []int64) []int64 {
	var most int64
	for _, bytes := range left {
		most = max(most, bytes)
	}
	scores := make([]int64, len(left))
	for i, bytes := range left {
		switch {
		case bytes < 0:
			scores[i] = 0
		case bytes == most:
			scores[i] = fwk.MaxScore
		default:
			scores[i] = min(percent(bytes, most), fwk.MaxScore-1)
		}
	}
	return scores
}

// leastFree ranks the other way round:
//
//	100                                for the least
//	min(100 × least ÷ left, 99)        for the others
func leastFree(left []int64) []int64 {
	least := unknownLeft
	for _, bytes := range left {
		if bytes >= 0 && (least < 0 || bytes < least) {
			least = bytes
		}
	}
	scores := make([]int64, len(left))
	for i, bytes := range left {
		switch {
		case bytes < 0:
			scores[i] = 0
		case bytes == least:
			scores[i] = fwk.MaxScore
		default:
			scores[i] = min(percent(least, bytes), fwk.MaxScore-1)
		}
	}
	return scores
}

// percent is 100 × part ÷ whole for 0 ≤ part < whole, in 128 bits: a hundredfold of bytes may not fit in 64.
func percent(part, whole int64) int64 {
	high, low := bits.Mul64(uint64(part), uint64(fwk.MaxScore))
	quotient, _ := bits.Div64(high, low, uint64(whole))
	return int64(quotient)
}
