package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
)

// Words of LVM's lv_health_status: lvs(8).
const (
	healthPartial = "partial"
	healthRefresh = "refresh needed"
)

// legs is what the kernel says of RAID volumes' legs: one that fails changes nothing in LVM's metadata. Safe for
// concurrent use.
type legs struct {
	groups *groups
	status func(volumeGroup, volume string) (dm.RAID, error)
	// turned is called, without locks, when a volume's legs are not what they were.
	turned func()

	mu    sync.Mutex
	known map[lvKey]dm.RAID
}

// lvKey names an LV.
type lvKey struct{ volumeGroup, name string }

// look asks for every active RAID volume of Berth's, one ioctl each.
func (l *legs) look(ctx context.Context) {
	known := map[lvKey]dm.RAID{}
	for vgName, o := range l.groups.sighting().groups {
		for _, lv := range owned(o.vg) {
			if !isRAID(lv.Type) || !lv.Active {
				continue
			}
			raid, err := l.status(vgName, lv.Name)
			if err == nil {
				known[lvKey{vgName, lv.Name}] = raid
			} else if !errors.Is(err, os.ErrNotExist) {
				klog.FromContext(ctx).Error(err, "Status of a RAID volume", "volumeID", lv.Name, "volumeGroup", vgName)
			}
		}
	}
	l.mu.Lock()
	changed := len(known) != len(l.known)
	for key, raid := range known {
		old := l.known[key]
		changed = changed || old.Health != raid.Health || old.InSync() != raid.InSync()
	}
	l.known = known
	l.mu.Unlock()
	if changed {
		l.turned()
	}
}

func (l *legs) of(vgName, name string) dm.RAID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[lvKey{vgName, name}]
}

func isRAID(t lvm.LayoutType) bool {
	switch t {
	case lvm.LayoutRAID1, lvm.LayoutRAID5, lvm.LayoutRAID6, lvm.LayoutRAID10:
		return true
	}
	return false
}

// health tells whether a volume's bytes are there. Without a physical volume that any of it lies on they are not, but for
// RAID, as long as no more legs are lost than it can spare.
func (l *legs) health(vgName string, lv lvm.LogicalVolume) problem {
	if !isRAID(lv.Type) {
		if strings.HasPrefix(lv.Health, healthPartial) {
			return problem{v1alpha1.ReasonPhysicalVolumeLost, fmt.Sprintf("logical volume %s/%s lies on a physical volume that is missing", vgName, lv.Name)}
		}
		return problem{}
	}
	raid := l.of(vgName, lv.Name)
	if dead := strings.Count(raid.Health, "D"); dead > spareLegs(lv.Type, len(raid.Health)) {
		return problem{v1alpha1.ReasonLegLost, fmt.Sprintf("logical volume %s/%s has lost %d of %d legs", vgName, lv.Name, dead, len(raid.Health))}
	}
	return problem{}
}

// spareLegs is the most that may be lost: of raid10 at best, when no two are copies of the same.
func spareLegs(t lvm.LayoutType, legs int) int {
	switch t {
	case lvm.LayoutRAID1:
		return legs - 1
	case lvm.LayoutRAID5:
		return 1
	case lvm.LayoutRAID6:
		return 2
	}
	return legs / 2
}

// redundancy tells whether a RAID volume can lose what its layout promises that it can.
func (l *legs) redundancy(vgName string, lv lvm.LogicalVolume) problem {
	raid := l.of(vgName, lv.Name)
	dead := strings.Count(raid.Health, "D")
	switch {
	case dead > 0:
		return problem{v1alpha1.ReasonLegLost, fmt.Sprintf("logical volume %s/%s has lost %d of %d legs", vgName, lv.Name, dead, len(raid.Health))}
	case strings.HasPrefix(lv.Health, healthPartial), strings.HasPrefix(lv.Health, healthRefresh):
		return problem{v1alpha1.ReasonLegLost, fmt.Sprintf("logical volume %s/%s has lost a leg: LVM says %q", vgName, lv.Name, lv.Health)}
	case raid.Health != "" && !raid.InSync():
		return problem{v1alpha1.ReasonLegRebuilding, fmt.Sprintf("the legs of logical volume %s/%s are being brought in step", vgName, lv.Name)}
	}
	return problem{}
}
