package lvmcli

import (
	"slices"
	"strings"
	"sync"

	"github.com/berth-dev/berth/pkg/lvm"
)

// scopes remember the devices of each volume group from the last report that saw it whole.
type scopes struct {
	mu      sync.Mutex
	devices map[string][]string
}

// of returns the --devices option for the volume groups, or nothing while one of them is not known: then LVM scans
// the host's disks.
func (s *scopes) of(volumeGroups ...string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, name := range volumeGroups {
		if len(s.devices[name]) == 0 {
			return nil
		}
		all = append(all, s.devices[name]...)
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return []string{"--devices", strings.Join(slices.Compact(all), ",")}
}

// remember takes the devices of the volume groups asked for from a report.
func (s *scopes) remember(asked []string, report lvm.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.devices == nil {
		s.devices = map[string][]string{}
	}
	for _, name := range asked {
		s.devices[name] = wholeDevices(report.VolumeGroups[name])
	}
}

// forget makes the next command on the volume group scan.
func (s *scopes) forget(volumeGroup string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.devices, volumeGroup)
}

// wholeDevices are the volume group's devices, or none when it was not seen whole.
func wholeDevices(vg lvm.VolumeGroup) []string {
	if vg.Unusable() != "" {
		return nil
	}
	var devices []string
	for _, pv := range vg.PhysicalVolumes {
		// A comma would be read as two devices.
		if pv.Missing || strings.Contains(pv.Name, ",") {
			return nil
		}
		devices = append(devices, pv.Name)
	}
	return devices
}

// whole reports whether a scoped report found all volume groups and all of their physical volumes, so that a full scan
// could show no more.
func whole(asked []string, report lvm.Report) bool {
	for _, name := range asked {
		if vg, ok := report.VolumeGroups[name]; !ok || len(wholeDevices(vg)) == 0 {
			return false
		}
	}
	return true
}
