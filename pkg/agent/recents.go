package agent

import (
	"slices"
	"sync"
)

// recents remembers the order in which Berth's LVs appeared or changed size. Safe for concurrent use.
type recents struct {
	mu     sync.Mutex
	groups map[string]*recentGroup
}

type recentGroup struct {
	newestFirst []string
	sizes       map[string]int64
}

func newRecents() *recents { return &recents{groups: map[string]*recentGroup{}} }

// update takes what a sighting shows.
func (r *recents) update(s sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, o := range s.groups {
		if !o.found {
			continue
		}
		g := r.groups[name]
		if g == nil {
			g = &recentGroup{sizes: map[string]int64{}}
			r.groups[name] = g
		}
		sizes := map[string]int64{}
		for _, lv := range owned(o.vg) {
			if _, helps := helps(lv); !helps {
				sizes[lv.Name] = lv.SizeBytes + helperBytes(o.vg, lv.Name)
			}
		}
		g.update(sizes)
	}
}

func (g *recentGroup) update(sizes map[string]int64) {
	var fresh []string
	for name, size := range sizes {
		if old, ok := g.sizes[name]; !ok || old != size {
			fresh = append(fresh, name)
		}
	}
	slices.Sort(fresh)
	kept := slices.DeleteFunc(g.newestFirst, func(name string) bool {
		_, there := sizes[name]
		return !there || slices.Contains(fresh, name)
	})
	g.newestFirst, g.sizes = append(fresh, kept...), sizes
}

// newestFirst lists a volume group's LVs.
func (r *recents) newestFirst(vg string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.groups[vg]; g != nil {
		return slices.Clone(g.newestFirst)
	}
	return nil
}
