package lvmcli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// complete adds what LVM said of the volume groups that it did not report: an entry with a refusal for one that is
// another host's, needs a cluster or shares its name, none for one that is not there.
// Errors: any other complaint; then nothing is known.
func complete(report lvm.Report, asked []string, r result) error {
	if r.code == 0 {
		return nil
	}
	lines := complaints(r.stderr)
	if len(lines) == 0 {
		return classify("fullreport", r)
	}
	for _, line := range lines {
		name, refusal, ok := explain(line)
		if !ok {
			return classify("fullreport", r)
		}
		if !slices.Contains(asked, name) { // a scan complains of all it comes across
			continue
		}
		if _, reported := report.VolumeGroups[name]; refusal != "" && !reported {
			report.VolumeGroups[name] = lvm.VolumeGroup{Name: name, Refusal: refusal}
		}
	}
	return nil
}

// explain reads a complaint that is about one volume group and no error of the report. An empty refusal means that
// the volume group is not there.
func explain(line string) (name, refusal string, ok bool) {
	for _, known := range []struct{ before, after, refusal string }{
		{`Volume group "`, `" not found`, ""},
		{"Cannot process volume group ", "", ""},
		{"Multiple VGs found with the same name: skipping ", "", "several volume groups have this name"},
		{"Skipping clustered volume group ", "", "it is clustered"},
		{"Cannot access VG ", " with system ID ", "it belongs to another host"},
		{"Cannot access VG ", " with lock type ", "it is shared"},
	} {
		rest, found := strings.CutPrefix(line, known.before)
		if !found {
			continue
		}
		if name, _, found = strings.Cut(rest, known.after); !found {
			continue
		}
		if known.after == "" {
			name = rest
		}
		if known.refusal != "" {
			refusal = fmt.Sprintf("%s (%s)", known.refusal, line)
		}
		return name, refusal, true
	}
	return "", "", false
}
