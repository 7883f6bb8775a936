package lvm

import "fmt"

// ThinPool is a thin pool with the bytes that its volumes may come to and those that they have written.
type ThinPool struct {
	Name string
	// SizeBytes and DataUsedBytes are the pool's data, MetadataSizeBytes and MetadataUsedBytes what maps it.
	SizeBytes, DataUsedBytes             int64
	MetadataSizeBytes, MetadataUsedBytes int64
	// VirtualBytes are the sizes of the thin volumes in it, added up.
	VirtualBytes int64
	// Zeroes: a block is zeroed before it is given out. Without it a volume shows what was there before.
	Zeroes bool
}

// Beyond these parts of a thousand nothing new is placed in a pool. A pool without data space stops the writes of all
// its volumes; one without metadata goes read-only until it is repaired. LVM itself makes no new volume where less than
// 4 MiB or a quarter of the metadata is free, so that a limit below three quarters is met first.
const (
	thinDataLimit     = 900
	thinMetadataLimit = 700
)

// full tells whether the pool is filled past a limit, or of unknown size.
func (p ThinPool) full() bool {
	return p.DataUsedBytes >= share(p.SizeBytes, thinDataLimit, 1000) ||
		p.MetadataUsedBytes >= share(p.MetadataSizeBytes, thinMetadataLimit, 1000)
}

func (s *Space) thinPool(name string) (ThinPool, bool) {
	for _, pool := range s.ThinPools {
		if pool.Name == name {
			return pool, true
		}
	}
	return ThinPool{}, false
}

// checkThinPools is Check for the thin ones among the requests. All in-flight volumes of a pool must be within the
// smallest ratio that any of them is held to: it may be the last to be made.
// Errors: *Shortage, ErrNotFound.
func (s *Space) checkThinPools(requests []Request) error {
	for i := range requests {
		layout := &requests[i].Layout
		if layout.Type != LayoutThin {
			continue
		}
		pool, ok := s.thinPool(layout.ThinPool)
		if !ok {
			return fmt.Errorf("thin pool %s: %w", layout.ThinPool, ErrNotFound)
		}
		wanted := virtualBytes(requests, pool.Name, s.ExtentSizeBytes)
		if free := s.freeVirtualBytes(pool, requests, layout.OverprovisionPercent); wanted > free {
			return &Shortage{WantedBytes: wanted, FreeBytes: free, ThinPool: pool.Name}
		}
	}
	return nil
}

// freeVirtualBytes is what the pool's size times the ratio leaves besides present and promised volumes, 0 for a full
// pool. The ratio is the smallest of percent and of what the promised volumes and those given are held to.
func (s *Space) freeVirtualBytes(pool ThinPool, besides []Request, percent int64) int64 {
	if pool.full() {
		return 0
	}
	percent = min(percent, smallestRatio(s.promised, pool.Name), smallestRatio(besides, pool.Name))
	taken := SaturatingAdd(pool.VirtualBytes, virtualBytes(s.promised, pool.Name, s.ExtentSizeBytes))
	return max(share(pool.SizeBytes, percent, 100)-taken, 0)
}

func smallestRatio(requests []Request, pool string) int64 {
	smallest := MaxBytes
	for i := range requests {
		if layout := &requests[i].Layout; layout.Type == LayoutThin && layout.ThinPool == pool {
			smallest = min(smallest, layout.OverprovisionPercent)
		}
	}
	return smallest
}

// virtualBytes adds up what the requests take of a pool, the largest int64 when one of them can never be.
func virtualBytes(requests []Request, pool string, extentSizeBytes int64) int64 {
	var total int64
	for i := range requests {
		if layout := &requests[i].Layout; layout.Type != LayoutThin || layout.ThinPool != pool {
			continue
		}
		t, err := requests[i].take(extentSizeBytes)
		if err != nil {
			return MaxBytes
		}
		total = SaturatingAdd(total, t.virtualBytes)
	}
	return total
}

// poolOffersMore is OffersMore for one pool.
func (s *Space) poolOffersMore(pool ThinPool, earlier *Space, old ThinPool) bool {
	if pool.full() {
		return false
	}
	taken := func(s *Space, pool ThinPool) int64 {
		return SaturatingAdd(pool.VirtualBytes, virtualBytes(s.promised, pool.Name, s.ExtentSizeBytes))
	}
	return old.full() || pool.SizeBytes > old.SizeBytes || taken(s, pool) < taken(earlier, old) ||
		smallestRatio(s.promised, pool.Name) > smallestRatio(earlier.promised, pool.Name)
}
