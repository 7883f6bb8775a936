package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

const (
	// ReasonInsufficientSpace is the reason of the event on a pod that fits no node.
	ReasonInsufficientSpace = "InsufficientVolumeGroupSpace"
	actionScheduling        = "Scheduling"

	// settleTime is what a scheduling cycle has to end before its findings are taken for the whole answer.
	settleTime = time.Second
	// repeatAfter is when an event of the same text is sent again for one pod, changeAfter when one of another text is.
	repeatAfter = 5 * time.Minute
	changeAfter = 15 * time.Second
	// bestNodes is how many nodes the event names.
	bestNodes = 3
)

// findings collects what one scheduling cycle's Filter said of the nodes, and tells it in an event on the pod: the
// scheduler's own message counts nodes by constant reasons and can name neither node nor bytes.
type findings struct {
	plugin *VolumeGroupCapacity
	claims []capacity.Claim

	// passed is set for every node that fits, so it takes no lock.
	passed atomic.Bool

	mu     sync.Mutex
	told   bool
	best   []shortfall
	others int
}

// shortfall is a node with too few bytes.
type shortfall struct {
	node    string
	verdict capacity.Verdict
}

// toldEvent is the last event of a pod.
type toldEvent struct {
	text string
	at   time.Time
}

func (pl *VolumeGroupCapacity) newFindings(claims []capacity.Claim) *findings {
	return &findings{plugin: pl, claims: claims}
}

// note takes in a verdict. Safe for concurrent use.
func (f *findings) note(node string, verdict capacity.Verdict) {
	if verdict.Reason == capacity.Fits {
		if !f.passed.Load() {
			f.passed.Store(true)
		}
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch verdict.Reason {
	case capacity.TooFewBytes:
		f.best = append(f.best, shortfall{node, verdict})
		slices.SortFunc(f.best, func(a, b shortfall) int {
			return cmp.Or(-cmp.Compare(a.verdict.FreeBytes, b.verdict.FreeBytes), cmp.Compare(a.node, b.node))
		})
		f.best = f.best[:min(len(f.best), bestNodes)]
	default:
		f.others++
	}
}

// Report sends the event if the cycle found too few bytes on every node it asked about. It is called while the pod
// waits, outside of any cycle.
func (f *findings) Report(_ context.Context, pod *v1.Pod, waitingSince time.Time) {
	now := time.Now()
	if now.Sub(waitingSince) < settleTime {
		return
	}
	f.mu.Lock()
	text := ""
	if !f.told && !f.passed.Load() && len(f.best) > 0 {
		text = f.text()
	}
	f.mu.Unlock()
	if text == "" || !f.plugin.mayTell(pod, text, now) {
		return
	}
	f.mu.Lock()
	f.told = true
	f.mu.Unlock()
	f.plugin.handle.EventRecorder().Eventf(pod, nil, v1.EventTypeWarning, ReasonInsufficientSpace, actionScheduling, "%s", text)
}

// mayTell keeps events on one pod apart.
func (pl *VolumeGroupCapacity) mayTell(pod *v1.Pod, text string, now time.Time) bool {
	if last, ok := pl.told.Get(pod.UID); ok {
		last := last.(toldEvent)
		if age := now.Sub(last.at); age < changeAfter || age < repeatAfter && last.text == text {
			return false
		}
	}
	pl.told.Add(pod.UID, toldEvent{text, now})
	return true
}

// text is the event's: "40.0 GiB wanted for claim data-0; largest free: node-2 vg-lab 11.9 GiB, node-1 vg-lab 7.9 GiB".
// Caller holds mu.
func (f *findings) text() string {
	var names []string
	for _, claim := range f.claims {
		names = append(names, claim.Name)
	}
	noun := "claim"
	if len(names) > 1 {
		noun = "claims"
	}
	wanted := f.best[0].verdict
	class := ""
	if wanted.DeviceClass != "" {
		class = fmt.Sprintf(" (device class %s)", wanted.DeviceClass)
	}
	var nodes []string
	for _, s := range f.best {
		nodes = append(nodes, fmt.Sprintf("%s %s %s free", s.node, s.verdict.VolumeGroup, formatBytes(s.verdict.FreeBytes)))
	}
	text := fmt.Sprintf("%s wanted for %s %s%s; largest: %s", formatBytes(wanted.WantedBytes), noun,
		strings.Join(names, ", "), class, strings.Join(nodes, ", "))
	if f.others > 0 {
		text += fmt.Sprintf("; %d node(s) cannot serve it at all", f.others)
	}
	return text
}

// formatBytes writes bytes for people: "11.9 GiB", rounded down to a tenth; below 1 KiB in bytes.
func formatBytes(bytes int64) string {
	if bytes < 1<<10 {
		return fmt.Sprintf("%d B", bytes)
	}
	unit, name := int64(1<<10), "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB", "PiB", "EiB"} {
		if bytes>>10 < unit {
			break
		}
		unit, name = unit<<10, next
	}
	whole, tenth := bytes/unit, int64(float64(bytes%unit)/float64(unit)*10)
	if tenth == 0 {
		return fmt.Sprintf("%d %s", whole, name)
	}
	return fmt.Sprintf("%d.%d %s", whole, tenth, name)
}
