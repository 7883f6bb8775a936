package lvmcli

import (
	"fmt"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// texts translate LVM's words into errors. The first entry that a line contains decides; the texts are those of
// LVM 2.03.16 with LC_ALL=C.
var texts = []struct {
	text string
	err  error
}{
	// Before the not-found texts: the physical volume was chosen from a report that is no longer true, and another
	// report may choose better.
	{"not found in Volume Group", lvm.ErrNoSpace},
	{"insufficient free space", lvm.ErrNoSpace},
	{"Insufficient free space", lvm.ErrNoSpace},
	{"Insufficient suitable", lvm.ErrNoSpace},
	{"No specified PVs have space available", lvm.ErrNoSpace},
	{"must not exceed number of physical volumes", lvm.ErrNoSpace}, // fewer than legs
	{"exceeds maximum metadata size", lvm.ErrNoSpace},              // the metadata area is full
	{"too large for circular buffer", lvm.ErrNoSpace},              // the same, of older versions
	{"free space in thin pool", lvm.ErrNoSpace},                    // reached threshold
	{"Threshold configured for free", lvm.ErrNoSpace},              // data or metadata space in thin pool
	{"Free space in pool", lvm.ErrNoSpace},                         // is above threshold
	{"Volume too large", lvm.ErrInvalidSize},
	{"already exists in volume group", lvm.ErrExists},
	{"contains a filesystem in use", lvm.ErrInUse},
	{" in use.", lvm.ErrInUse},
	{"is used by another device", lvm.ErrInUse},
	{"Snapshot origin volumes can be resized only while inactive", lvm.ErrInUse},
	{"Can't get lock for", lvm.ErrBusy},
	{"cannot be extended while it is recovering", lvm.ErrBusy},
	{"Cannot change VG", lvm.ErrUnusable}, // while PVs are missing
	{"Refusing activation of partial LV", lvm.ErrUnusable},
	{"is exported", lvm.ErrUnusable},
	{"Multiple VGs found with the same name", lvm.ErrUnusable},
	{"Failed to find logical volume", lvm.ErrNotFound},
	{"not found in volume group", lvm.ErrNotFound},
	{"not found in Volume group", lvm.ErrNotFound},
	// Last, because a scan says these of volume groups that the command is not about: a foreign system ID, or a lock
	// type that needs lvmlockd.
	{"Cannot access VG", lvm.ErrUnusable},
	{"Skipping clustered volume group", lvm.ErrUnusable},
	{`" not found`, lvm.ErrNotFound}, // a volume group
}

// classify turns the standard error of a command that failed into an error: LVM's own words without its warnings and
// hints, and the sentinel where the words are known.
func classify(label string, r result) error {
	words := complaints(r.stderr)
	for _, known := range texts {
		for _, line := range words {
			if strings.Contains(line, known.text) {
				return fmt.Errorf("lvm %s: %w: %s", label, known.err, line)
			}
		}
	}
	if len(words) == 0 {
		return fmt.Errorf("lvm %s: exit code %d without a word", label, r.code)
	}
	return fmt.Errorf("lvm %s: exit code %d: %s", label, r.code, strings.Join(words, "; "))
}

// complaints are the lines of standard error that say what went wrong.
func complaints(stderr string) []string {
	var lines []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		hint := strings.HasPrefix(line, "WARNING: ") || strings.HasPrefix(line, "See ") ||
			strings.HasPrefix(line, "Run `") || strings.HasPrefix(line, "Use ") || strings.HasPrefix(line, "Fix ")
		if line != "" && !hint {
			lines = append(lines, line)
		}
	}
	return lines
}
