package agent

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// writtenFor is how long a write of ours outranks the cache. It is bounded because an API server restored from a
// backup begins again at lower resourceVersions.
const writtenFor = 10 * time.Second

// written remembers what this agent wrote last, so that no pass works on a cached object from before: with what it
// says undone, its work would be done twice. Safe for concurrent use.
type written struct {
	mu   sync.Mutex
	last map[string]version
}

type version struct {
	uid     types.UID
	version string
	at      time.Time
}

// note remembers an object as the API server returned it.
func (w *written) note(object *v1alpha1.LogicalVolume) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[object.Name] = version{object.UID, object.ResourceVersion, time.Now()}
}

// behind is true when a cached object is older than what was written; what replaces it is on its way.
func (w *written) behind(object *v1alpha1.LogicalVolume) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.last[object.Name]
	if !ok {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(object.ResourceVersion, last.version)
	if err == nil && order < 0 && object.UID == last.uid && time.Since(last.at) < writtenFor {
		return true
	}
	delete(w.last, object.Name)
	return false
}
