package lvm

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// mkfsOption is what an option of mkfs may be given: one field is set.
type mkfsOption struct {
	// number: one number.
	number bool
	// choice: one of these words.
	choice []string
	// features: these words divided by commas, with ^ before those that are to be off.
	features []string
	// keys: these keys divided by commas, each with = and a number.
	keys []string
}

// mkfsOptions are the options that a StorageClass may give to mkfs, which runs as root on the node. They shape the file
// system and nothing else. Not among them, on purpose: what reads or writes another file or device (ext4 -d, -l, -z and
// -J device=, xfs -p and -c, btrfs -r, external logs), what makes no file system (dry runs, lists of features), and what
// is to tell file systems apart: all volumes of a class would share a UUID or a label, and a host that mounts by label
// would find a tenant's.
var mkfsOptions = map[string]map[string]mkfsOption{
	"ext4": {
		"-b": {number: true}, "-C": {number: true}, "-G": {number: true}, "-i": {number: true}, "-I": {number: true},
		"-m": {number: true}, "-N": {number: true},
		"-T": {choice: []string{"big", "huge", "largefile", "largefile4", "news", "small"}},
		"-J": {keys: []string{"fast_commit_size", "size"}},
		"-E": {keys: []string{
			"lazy_itable_init", "lazy_journal_init", "num_backup_sb", "packed_meta_blocks", "resize", "stride", "stripe-width", "stripe_width",
		}},
		"-O": {features: []string{
			"64bit", "bigalloc", "casefold", "dir_index", "dir_nlink", "encrypt", "ext_attr", "extent", "extra_isize", "fast_commit",
			"filetype", "flex_bg", "has_journal", "huge_file", "inline_data", "large_dir", "large_file", "metadata_csum",
			"metadata_csum_seed", "orphan_file", "project", "quota", "resize_inode", "sparse_super", "sparse_super2", "stable_inodes",
			"uninit_bg", "verity",
		}},
	},
	"xfs": {
		"-b": {keys: []string{"size"}},
		"-d": {keys: []string{"agcount", "agsize", "su", "sunit", "sw", "swidth"}},
		"-i": {keys: []string{"maxpct", "nrext64", "size", "sparse"}},
		"-l": {keys: []string{"lazy-count", "size", "su", "sunit"}},
		"-m": {keys: []string{"bigtime", "crc", "finobt", "inobtcount", "reflink", "rmapbt"}},
		"-n": {keys: []string{"ftype", "size"}},
		"-s": {keys: []string{"size"}},
	},
	"btrfs": {
		"-n": {number: true}, "--nodesize": {number: true},
		"-s": {number: true}, "--sectorsize": {number: true},
		"-d": btrfsProfile, "--data": btrfsProfile, "-m": btrfsProfile, "--metadata": btrfsProfile,
		"-O": btrfsFeatures, "--features": btrfsFeatures, "-R": btrfsFeatures, "--runtime-features": btrfsFeatures,
		"--csum": btrfsChecksum, "--checksum": btrfsChecksum,
	},
}

var (
	// A volume is one device.
	btrfsProfile  = mkfsOption{choice: []string{"dup", "single"}}
	btrfsFeatures = mkfsOption{features: []string{
		"block-group-tree", "extref", "free-space-tree", "no-holes", "quota", "skinny-metadata", "squota",
	}}
	btrfsChecksum = mkfsOption{choice: []string{"blake2", "crc32c", "sha256", "xxhash"}}
)

// mkfsNumber is a number as mkfs takes it: a percentage with a point, or with a unit.
var mkfsNumber = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,6})?[bskmgtKMGT]?$`)

// mostMkfsValue is the length of an option's value, as LogicalVolumes hold it.
const mostMkfsValue = 128

// ParseMkfsOptions reads options for mkfs of a file system, divided by spaces: "-b 4096", "-b4096" and "--csum=xxhash"
// are understood. It returns each option and its value as arguments of their own.
// Errors: ErrInvalidParameter, which names what is not allowed and what would have been.
func ParseMkfsOptions(fsType, text string) ([]string, error) {
	known, ok := mkfsOptions[fsType]
	if !ok {
		return nil, invalid(ParameterFSType, fsType, fsTypes)
	}
	var arguments []string
	words := strings.Fields(text)
	for len(words) > 0 {
		name, value, rest := cutOption(words)
		words = rest
		option, ok := known[name]
		if !ok {
			return nil, notAllowed(fsType, name, slices.Sorted(maps.Keys(known)))
		}
		if slices.Contains(arguments, name) {
			return nil, fmt.Errorf("%w: %s: mkfs.%s %s is given twice", ErrInvalidParameter, ParameterMkfsOptions, fsType, name)
		}
		if err := option.check(fsType, name, value); err != nil {
			return nil, err
		}
		if len(value) > mostMkfsValue {
			return nil, fmt.Errorf("%w: %s: mkfs.%s %s has more than %d characters", ErrInvalidParameter, ParameterMkfsOptions, fsType, name, mostMkfsValue)
		}
		arguments = append(arguments, name, value)
	}
	return arguments, nil
}

// cutOption takes an option and its value, empty where there is none, from the front.
func cutOption(words []string) (name, value string, rest []string) {
	first, rest := words[0], words[1:]
	if strings.HasPrefix(first, "--") {
		if name, value, ok := strings.Cut(first, "="); ok {
			return name, value, rest
		}
	} else if len(first) > 2 && first[0] == '-' {
		return first[:2], first[2:], rest
	}
	if len(rest) == 0 {
		return first, "", nil
	}
	return first, rest[0], rest[1:]
}

// check tells whether the option may have the value.
func (o mkfsOption) check(fsType, name, value string) error {
	if o.number {
		return checkNumber(fsType, name, value)
	}
	if o.choice != nil {
		if !slices.Contains(o.choice, value) {
			return notAllowed(fsType, name+" "+value, o.choice)
		}
		return nil
	}
	for _, word := range strings.Split(value, ",") {
		if err := o.checkWord(fsType, name, word); err != nil {
			return err
		}
	}
	return nil
}

func (o mkfsOption) checkWord(fsType, name, word string) error {
	if o.features != nil {
		if !slices.Contains(o.features, strings.TrimPrefix(word, "^")) {
			return notAllowed(fsType, name+" "+word, o.features)
		}
		return nil
	}
	key, number, _ := strings.Cut(word, "=")
	if !slices.Contains(o.keys, key) {
		return notAllowed(fsType, name+" "+key, o.keys)
	}
	return checkNumber(fsType, name+" "+key, number)
}

func checkNumber(fsType, name, value string) error {
	if !mkfsNumber.MatchString(value) {
		return fmt.Errorf("%w: %s: mkfs.%s %s is %q, not a number", ErrInvalidParameter, ParameterMkfsOptions, fsType, name, value)
	}
	return nil
}

func notAllowed(fsType, name string, allowed []string) error {
	return fmt.Errorf("%w: %s: mkfs.%s %s is not allowed; allowed are %s",
		ErrInvalidParameter, ParameterMkfsOptions, fsType, name, strings.Join(allowed, " "))
}
