package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
)

// The file as it is written. Quantities stay nodes until they are read, so that an error names field and line.
type (
	fileYAML struct {
		settingsYAML `yaml:",inline"`
		Nodes        []overrideYAML `yaml:"nodes"`
	}
	overrideYAML struct {
		NodeSelector map[string]string `yaml:"nodeSelector"`
		settingsYAML `yaml:",inline"`
	}
	// settingsYAML has pointers to tell a list that is empty from one that is not given.
	settingsYAML struct {
		VolumeGroups  *[]volumeGroupYAML `yaml:"volumeGroups"`
		DeviceClasses *[]deviceClassYAML `yaml:"deviceClasses"`
	}
	volumeGroupYAML struct {
		Name          string    `yaml:"name"`
		Spare         yaml.Node `yaml:"spare"`
		GrowthReserve yaml.Node `yaml:"growthReserve"`
		supplyYAML    `yaml:",inline"`
	}
)

// ParseConfig reads and validates a configuration file. All of it is valid or the error says what is not, with the
// line where YAML tells it.
func ParseConfig(data []byte) (*ConfigFile, error) {
	raw, err := decodeStrictly(data)
	if err != nil {
		return nil, err
	}
	file := &ConfigFile{}
	if file.base, err = raw.config("", Config{}); err != nil {
		return nil, err
	}
	for i, entry := range raw.Nodes {
		where := fmt.Sprintf("nodes[%d].", i)
		selector, err := labels.ValidatedSelectorFromSet(entry.NodeSelector)
		if err != nil {
			return nil, fmt.Errorf("%snodeSelector: %w", where, err)
		}
		if len(entry.NodeSelector) == 0 {
			return nil, fmt.Errorf("%snodeSelector: it is empty and would match every node", where)
		}
		config, err := entry.config(where, file.base)
		if err != nil {
			return nil, err
		}
		file.overrides = append(file.overrides, override{selector, config})
	}
	return file, nil
}

// decodeStrictly refuses unknown and duplicate keys, more than one document, and no document.
func decodeStrictly(data []byte) (*fileYAML, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	file := &fileYAML{}
	if err := decoder.Decode(file); errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	} else if err != nil {
		return nil, plainYAMLError(err)
	}
	if file.VolumeGroups == nil && file.DeviceClasses == nil && file.Nodes == nil {
		return nil, errors.New("the file is empty: none of volumeGroups, deviceClasses, nodes is given")
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one YAML document")
	}
	return file, nil
}

var unknownKey = regexp.MustCompile(`field (\S+) not found in type \S+`)

// plainYAMLError puts the parser's words on one line, without Go's type names.
func plainYAMLError(err error) error {
	text := unknownKey.ReplaceAllString(err.Error(), "unknown key $1")
	text = strings.TrimPrefix(text, "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	return errors.New(strings.ReplaceAll(text, "\n  ", "; "))
}

// config converts and validates; a list that is not given is taken from inherited.
func (s settingsYAML) config(where string, inherited Config) (Config, error) {
	config := inherited
	if s.VolumeGroups != nil {
		config.VolumeGroups = nil
		for i, entry := range *s.VolumeGroups {
			vg, err := entry.config(fmt.Sprintf("%svolumeGroups[%d].", where, i))
			if err != nil {
				return Config{}, err
			}
			config.VolumeGroups = append(config.VolumeGroups, vg)
		}
	}
	if s.DeviceClasses != nil {
		var err error
		if config.DeviceClasses, config.ThinPools, err = deviceClasses(where, *s.DeviceClasses); err != nil {
			return Config{}, err
		}
	}
	return config, config.validate(where)
}

func (e volumeGroupYAML) config(where string) (VolumeGroupConfig, error) {
	spare, err := quantity(where+"spare", e.Spare)
	if err != nil {
		return VolumeGroupConfig{}, err
	}
	reserve, err := quantity(where+"growthReserve", e.GrowthReserve)
	if err != nil {
		return VolumeGroupConfig{}, err
	}
	loopFile, err := e.loopFile(where)
	if err != nil {
		return VolumeGroupConfig{}, err
	}
	return VolumeGroupConfig{
		Name: e.Name, SpareBytes: spare, GrowthReserveBytes: reserve, Devices: e.Devices, LoopFile: loopFile,
	}, nil
}

// quantity reads bytes written as a Kubernetes quantity (10Gi); a node that is not given is 0.
func quantity(field string, node yaml.Node) (int64, error) {
	if node.IsZero() {
		return 0, nil
	}
	q, err := resource.ParseQuantity(node.Value)
	if err != nil || node.Kind != yaml.ScalarNode {
		return 0, fmt.Errorf("line %d: %s: %q is not a quantity of bytes such as 10Gi", node.Line, field, node.Value)
	}
	value, exact := q.AsInt64()
	if !exact || value < 0 {
		return 0, fmt.Errorf("line %d: %s: %q is not a whole, representable number of bytes, 0 or more", node.Line, field, node.Value)
	}
	return value, nil
}
