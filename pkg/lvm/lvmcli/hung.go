package lvmcli

import (
	"slices"
	"sync"
	"time"
)

// hungAfter is how long a changing command may hold LVM's lock before reports read around it.
const hungAfter = 10 * time.Second

// hung knows since when a changing command runs on each volume group.
type hung struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func (h *hung) start(volumeGroup string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since == nil {
		h.since = map[string]time.Time{}
	}
	h.since[volumeGroup] = time.Now()
}

func (h *hung) end(volumeGroup string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.since, volumeGroup)
}

// any reports whether a command hangs on one of the volume groups.
func (h *hung) any(volumeGroups []string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(volumeGroups, func(name string) bool {
		since, running := h.since[name]
		return running && time.Since(since) > hungAfter
	})
}
