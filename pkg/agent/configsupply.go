package agent

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/berth-dev/berth/pkg/disks"
)

// LoopDirectory is where loop files are: of the host's files a container sees those below it.
const LoopDirectory = "/var/lib/berth"

// LoopFile is a file that serves as a volume group's disk.
type LoopFile struct {
	Path string
	// SizeBytes may be raised; a lower value than the file's size changes nothing.
	SizeBytes int64
}

// supplyYAML is what a volume group may be made of.
type supplyYAML struct {
	Devices  []string      `yaml:"devices"`
	LoopFile *loopFileYAML `yaml:"loopFile"`
}

type loopFileYAML struct {
	Path string    `yaml:"path"`
	Size yaml.Node `yaml:"size"`
}

func (s supplyYAML) loopFile(where string) (*LoopFile, error) {
	if s.LoopFile == nil {
		return nil, nil
	}
	size, err := quantity(where+"loopFile.size", s.LoopFile.Size)
	if err != nil {
		return nil, err
	}
	return &LoopFile{Path: s.LoopFile.Path, SizeBytes: size}, nil
}

// supplied tells whether the agent makes the volume group.
func (c VolumeGroupConfig) supplied() bool { return len(c.Devices) > 0 || c.LoopFile != nil }

// validateSupply finds what is wrong with what the volume group of index i is made of.
func (c Config) validateSupply(where string, i int) error {
	vg := c.VolumeGroups[i]
	field := fmt.Sprintf("%svolumeGroups[%d].", where, i)
	for j, pattern := range vg.Devices {
		if _, err := filepath.Match(pattern, ""); err != nil || !strings.HasPrefix(pattern, "/dev/") || filepath.Clean(pattern) != pattern {
			return fmt.Errorf("%sdevices[%d]: %q is not a path or pattern below /dev", field, j, pattern)
		}
	}
	if vg.LoopFile == nil {
		return nil
	}
	path := vg.LoopFile.Path
	switch {
	case len(vg.Devices) > 0:
		return fmt.Errorf("%sloopFile: a volume group is made of devices or of a file", field)
	case !strings.HasPrefix(path, LoopDirectory+"/") || filepath.Clean(path) != path:
		return fmt.Errorf("%sloopFile.path: %q is not a path below %s", field, path, LoopDirectory)
	case vg.LoopFile.SizeBytes < disks.LeastBytes:
		return fmt.Errorf("%sloopFile.size: %s is too small, %s is the least", field, exactBytes(vg.LoopFile.SizeBytes), exactBytes(disks.LeastBytes))
	}
	for _, other := range c.VolumeGroups[:i] {
		if other.LoopFile != nil && other.LoopFile.Path == path {
			return fmt.Errorf("%sloopFile.path: %q is volume group %s's", field, path, other.Name)
		}
	}
	return nil
}
