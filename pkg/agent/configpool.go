package agent

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/berth-dev/berth/pkg/lvm"
)

// ThinPoolConfig is a thin pool that device classes name.
type ThinPoolConfig struct {
	VolumeGroup, Name string
	// SizeBytes and MetadataSizeBytes are for a pool that is not there; with no size the agent makes none, and with no
	// metadata size it takes what fits the size.
	SizeBytes, MetadataSizeBytes int64
	// ExtendAtPercent is how full a pool is extended, 100 for never, ExtendByPercent by how much of its size.
	ExtendAtPercent, ExtendByPercent int64
	// WhenFull is WhenFullError or WhenFullQueue, for a pool that is not there.
	WhenFull string
}

// What a full pool does with a write: it fails at once, or waits for the pool to be extended, a minute by default.
const (
	WhenFullError = "error"
	WhenFullQueue = "queue"
)

const (
	defaultExtendAt = 80
	defaultExtendBy = 20
	// maxOverprovisionRatio is past anything that is meant.
	maxOverprovisionRatio = 1000
	// Bounds of a thin pool's metadata: lvmthin(7).
	leastPoolMetadataBytes = 2 << 20
	mostPoolMetadataBytes  = 16 << 30
)

// thinPoolYAML is a class's thin pool as it is written. The ratio is the class's own, the rest the pool's: every class
// that names the pool may say it, and none otherwise than another.
type thinPoolYAML struct {
	Name               string    `yaml:"name"`
	OverprovisionRatio yaml.Node `yaml:"overprovisionRatio"`
	Size               yaml.Node `yaml:"size"`
	MetadataSize       yaml.Node `yaml:"metadataSize"`
	ExtendAt           *int64    `yaml:"extendAt"`
	ExtendBy           *int64    `yaml:"extendBy"`
	WhenFull           string    `yaml:"whenFull"`
}

// poolName is what LVM takes for an LV (lvm(8), "Valid names") less what it keeps for itself.
var (
	poolName     = regexp.MustCompile(`^[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]{0,99}$`)
	reservedName = regexp.MustCompile(`^\.\.?$|^snapshot|^pvmove|_(cdata|cmeta|corig|cpool|cvol|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata|vorigin|imeta|iorig|wcorig)`)
)

func (t thinPoolYAML) layout(where string) (lvm.Layout, error) {
	if !poolName.MatchString(t.Name) || reservedName.MatchString(t.Name) {
		return lvm.Layout{}, fmt.Errorf("%sname: %q is not the name of a thin pool", where, t.Name)
	}
	percent, err := ratioPercent(where+"overprovisionRatio", t.OverprovisionRatio)
	if err != nil {
		return lvm.Layout{}, err
	}
	return lvm.Layout{Type: lvm.LayoutThin, ThinPool: t.Name, OverprovisionPercent: percent}, nil
}

// ratioPercent reads a ratio as percent; one that is not given is 1.
func ratioPercent(field string, node yaml.Node) (int64, error) {
	if node.IsZero() {
		return 100, nil
	}
	ratio, err := strconv.ParseFloat(node.Value, 64)
	if err != nil || node.Kind != yaml.ScalarNode || !(ratio >= 1 && ratio <= maxOverprovisionRatio) {
		return 0, fmt.Errorf("line %d: %s: %q is not a number from 1 to %d", node.Line, field, node.Value, maxOverprovisionRatio)
	}
	return int64(math.Round(ratio * 100)), nil
}

// pool is what one class says of the pool: 0 and "" where it says nothing.
func (t thinPoolYAML) pool(where, volumeGroup string) (ThinPoolConfig, error) {
	pool := ThinPoolConfig{VolumeGroup: volumeGroup, Name: t.Name, WhenFull: t.WhenFull}
	var err error
	if pool.SizeBytes, err = quantity(where+"size", t.Size); err != nil {
		return ThinPoolConfig{}, err
	}
	if pool.MetadataSizeBytes, err = quantity(where+"metadataSize", t.MetadataSize); err != nil {
		return ThinPoolConfig{}, err
	}
	if m := pool.MetadataSizeBytes; m != 0 && (m < leastPoolMetadataBytes || m > mostPoolMetadataBytes) {
		return ThinPoolConfig{}, fmt.Errorf("%smetadataSize: %s is not from %s to %s", where, exactBytes(m),
			exactBytes(leastPoolMetadataBytes), exactBytes(mostPoolMetadataBytes))
	}
	if pool.ExtendAtPercent, err = percentage(where+"extendAt", t.ExtendAt, 100); err != nil {
		return ThinPoolConfig{}, err
	}
	if pool.ExtendByPercent, err = percentage(where+"extendBy", t.ExtendBy, 1000); err != nil {
		return ThinPoolConfig{}, err
	}
	if pool.WhenFull != "" && pool.WhenFull != WhenFullError && pool.WhenFull != WhenFullQueue {
		return ThinPoolConfig{}, fmt.Errorf("%swhenFull: %q is neither %s nor %s", where, pool.WhenFull, WhenFullError, WhenFullQueue)
	}
	return pool, nil
}

func percentage(field string, given *int64, most int64) (int64, error) {
	if given == nil {
		return 0, nil
	}
	if *given < 1 || *given > most {
		return 0, fmt.Errorf("%s: %d is not a percentage from 1 to %d", field, *given, most)
	}
	return *given, nil
}

// thinPools gathers what classes say of their pools.
type thinPools []ThinPoolConfig

func (p *thinPools) add(where, volumeGroup string, entry thinPoolYAML) error {
	said, err := entry.pool(where, volumeGroup)
	if err != nil {
		return err
	}
	for i := range *p {
		if known := &(*p)[i]; known.VolumeGroup == volumeGroup && known.Name == said.Name {
			return known.join(where, said)
		}
	}
	*p = append(*p, said)
	return nil
}

// join adds what another class says of the pool.
func (c *ThinPoolConfig) join(where string, said ThinPoolConfig) error {
	for _, setting := range []struct {
		name  string
		known *int64
		said  int64
		text  func(int64) string
	}{
		{"size", &c.SizeBytes, said.SizeBytes, exactBytes},
		{"metadataSize", &c.MetadataSizeBytes, said.MetadataSizeBytes, exactBytes},
		{"extendAt", &c.ExtendAtPercent, said.ExtendAtPercent, formatPercent},
		{"extendBy", &c.ExtendByPercent, said.ExtendByPercent, formatPercent},
	} {
		if setting.said == 0 {
			continue
		}
		if *setting.known != 0 && *setting.known != setting.said {
			return c.contradiction(where+setting.name, setting.text(setting.said), setting.text(*setting.known))
		}
		*setting.known = setting.said
	}
	if said.WhenFull != "" {
		if c.WhenFull != "" && c.WhenFull != said.WhenFull {
			return c.contradiction(where+"whenFull", said.WhenFull, c.WhenFull)
		}
		c.WhenFull = said.WhenFull
	}
	return nil
}

func (c *ThinPoolConfig) contradiction(field, said, known string) error {
	return fmt.Errorf("%s: %s, but another class says %s of thin pool %s/%s", field, said, known, c.VolumeGroup, c.Name)
}

func formatPercent(percent int64) string { return strconv.FormatInt(percent, 10) }

func (p thinPools) withDefaults() []ThinPoolConfig {
	for i := range p {
		pool := &p[i]
		if pool.ExtendAtPercent == 0 {
			pool.ExtendAtPercent = defaultExtendAt
		}
		if pool.ExtendByPercent == 0 {
			pool.ExtendByPercent = defaultExtendBy
		}
		if pool.WhenFull == "" {
			pool.WhenFull = WhenFullError
		}
	}
	return p
}
