package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/disks"
	"github.com/berth-dev/berth/pkg/lvm"
)

// Disks is the node's block devices; disks.Host says what each does.
type Disks interface {
	Names(patterns []string) ([]string, error)
	Match(patterns []string) ([]disks.Disk, error)
	Name(path string) (name string, ok bool)
	Check(ctx context.Context, disk disks.Disk) (refusal string, err error)
	Attach(path string, sizeBytes int64) (disks.Disk, error)
	Signature(ctx context.Context, device string) (string, error)
}

// recheckEvery is how often a disk that was refused is looked at again: somebody may have emptied it.
const recheckEvery = 5 * time.Minute

// supply puts disks and files into the volume groups that the configuration gives them to. It is level-triggered: a turn
// looks at all that the configuration names, and takes what is empty. Safe for concurrent use; turns come from one
// goroutine.
type supply struct {
	disks  Disks
	groups *groups
	// livesIn says which volume is known in a volume group of this name, or nothing.
	livesIn func(volumeGroup string) string

	mu sync.Mutex
	// turns are the last ones, by volume group.
	turns map[string]turn
	// resized is the size of a disk for which its physical volume was last made as large.
	resized map[string]int64
}

// turn is what one look at a volume group's disks came to.
type turn struct {
	at time.Time
	// key is what it depended on: another key asks for another turn.
	key string
	// findings are why disks are not in the volume group. failed is true when one could not be judged.
	findings []string
	failed   bool
}

func newSupply(disks Disks, groups *groups, livesIn func(string) string) *supply {
	return &supply{disks: disks, groups: groups, livesIn: livesIn, turns: map[string]turn{}, resized: map[string]int64{}}
}

// attach makes files disks again, as after a reboot, before LVM is asked what is on them. A failure shows in the turn.
func (s *supply) attach(ctx context.Context, config Config) {
	for _, c := range config.VolumeGroups {
		if c.LoopFile == nil {
			continue
		}
		if _, err := s.disks.Attach(c.LoopFile.Path, c.LoopFile.SizeBytes); err != nil {
			klog.FromContext(ctx).Error(err, "Attach a loop file", "volumeGroup", c.Name)
		}
	}
}

// provide gives a turn to each volume group that is due, and returns whether one was.
func (s *supply) provide(ctx context.Context, config Config) bool {
	any := false
	for _, c := range config.VolumeGroups {
		o, reported := s.groups.observed(c.Name)
		if !c.supplied() || !reported {
			continue
		}
		key := s.key(c, o.found)
		if !s.due(c.Name, key) {
			continue
		}
		ctx := klog.NewContext(ctx, klog.LoggerWithValues(klog.FromContext(ctx), "volumeGroup", c.Name))
		t := s.take(ctx, c, o.found)
		t.at, t.key = time.Now(), key
		s.mu.Lock()
		s.turns[c.Name] = t
		s.mu.Unlock()
		any = true
	}
	return any
}

func (s *supply) due(name, key string) bool {
	s.mu.Lock()
	last := s.turns[name]
	s.mu.Unlock()
	age := time.Since(last.at)
	return last.key != key || last.failed && age > rescanEvery || len(last.findings) > 0 && age > recheckEvery
}

// key is what the outcome of a turn depends on and is cheap to know: names, in directories and links.
func (s *supply) key(c VolumeGroupConfig, found bool) string {
	if c.LoopFile != nil {
		return fmt.Sprintf("%t %s %d", found, c.LoopFile.Path, c.LoopFile.SizeBytes)
	}
	names, err := s.disks.Names(c.Devices)
	return fmt.Sprintf("%t %s %v", found, strings.Join(names, " "), err)
}

// take is one volume group's turn.
func (s *supply) take(ctx context.Context, c VolumeGroupConfig, found bool) turn {
	var t turn
	candidates, err := s.candidates(c)
	if err != nil {
		t.add(ctx, "", "", err)
		return t
	}
	if len(candidates) == 0 && !found {
		t.add(ctx, "", "no disk matches its devices", nil)
	}
	for _, disk := range candidates {
		refusal, err := s.give(ctx, c, disk)
		if refusal != "" || err != nil {
			t.add(ctx, disk.Path, refusal, err)
		}
	}
	return t
}

// add notes why a disk is not in the volume group.
func (t *turn) add(ctx context.Context, path, refusal string, err error) {
	if err != nil {
		klog.FromContext(ctx).Error(err, "Disk is looked at again", "device", path)
		refusal, t.failed = err.Error(), true
	}
	if path != "" {
		refusal = path + ": " + refusal
	}
	t.findings = append(t.findings, refusal)
}

func (s *supply) candidates(c VolumeGroupConfig) ([]disks.Disk, error) {
	if c.LoopFile == nil {
		return s.disks.Match(c.Devices)
	}
	disk, err := s.disks.Attach(c.LoopFile.Path, c.LoopFile.SizeBytes)
	return []disks.Disk{disk}, err
}

// condition is DevicesUsable under a configuration; ok is false when it gives no volume group a disk, or no turn was yet.
func (s *supply) condition(config Config) (condition metav1.Condition, ok bool) {
	condition = metav1.Condition{Type: v1alpha1.NodeStorageDevicesUsable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	s.mu.Lock()
	defer s.mu.Unlock()
	var messages []string
	for _, c := range config.VolumeGroups {
		t, turned := s.turns[c.Name]
		if !turned || !c.supplied() {
			continue
		}
		ok = true
		for _, finding := range t.findings {
			messages = append(messages, fmt.Sprintf("volume group %s: %s", c.Name, finding))
		}
	}
	if len(messages) > 0 {
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonDeviceRefused
		condition.Message = clip(strings.Join(messages, "; "))
	}
	return condition, ok
}

// livesIn names a volume of this node that is in a volume group of that name.
func (v *volumes) livesIn(volumeGroup string) string {
	objects, err := v.lister.List(labels.Everything())
	if err != nil {
		return ""
	}
	for _, object := range objects {
		if object.Status.VolumeGroup.Name == volumeGroup {
			return object.Name
		}
	}
	return ""
}

// provide looks after the volume groups' disks if there is something to look at. Objects are known then: one that tells
// of a volume group keeps another one of its name from being made.
func (a *Agent) provide(ctx context.Context) {
	if a.Ready() == nil && a.supply.provide(ctx, a.configInForce()) {
		a.publisher.notify()
	}
}

// isRefusal tells errors by which LVM leaves a disk alone from those that say nothing of it.
func isRefusal(err error) bool {
	return slices.ContainsFunc([]error{lvm.ErrExists, lvm.ErrInUse, lvm.ErrNotFound, lvm.ErrUnusable},
		func(known error) bool { return errors.Is(err, known) })
}
