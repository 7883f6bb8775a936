//go:build lab

package lvmoracle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// volume is one that a case asks for.
type volume struct {
	lv string
	lvm.Request
}

// ask is what the layout wants of lvcreate.
func (v volume) ask(bytes int64) string {
	l := v.Layout
	// LVM takes whole sectors.
	text := fmt.Sprintf("--size %db --type %s", (bytes+511)/512*512, l.Type)
	if l.Stripes > 0 {
		text += fmt.Sprintf(" --stripes %d", l.Stripes)
	}
	if l.Mirrors > 0 {
		text += fmt.Sprintf(" --mirrors %d", l.Mirrors-1)
	}
	return text
}

// create lets one lvcreate make the volume on the physical volumes named.
func (g *group) create(t *testing.T, v volume, bytes int64, on []string) (made bool, output string, r report) {
	t.Helper()
	output, r = g.run(t, create(v.lv, v.ask(bytes), on))
	return strings.Contains(output, fmt.Sprintf("Logical volume %q created.", v.lv)), output, r
}

// createApart lets LVM make a volume with each leg on one of the physical volumes named; again is true when that took a
// second attempt.
//
// LVM allocates in rounds, and hands out the legs anew in each where it does not look at the earlier ones: never for
// parity, and for copies not when the first round is used up by metadata. So legs with parity are made of one extent and
// extended, which does look; and what then is not apart is made again from first extents that leave LVM no choice.
func (g *group) createApart(t *testing.T, v volume, bytes int64, on []string, before report) (made, again bool, output string, r report) {
	t.Helper()
	if v.Layout.Type == lvm.LayoutRAID5 || v.Layout.Type == lvm.LayoutRAID6 {
		made, output, r = g.createByRow(t, v, bytes, on, on)
	} else {
		made, output, r = g.create(t, v, bytes, on)
	}
	if !made || v.Layout.Legs() == 0 || r.apart(v) {
		return made, false, output, r
	}
	g.shell.run(t, fmt.Sprintf("lvremove --config '%s' --yes %s/%s", config, name, v.lv))
	made, output, r = g.createByRow(t, v, bytes, on, g.firstExtents(on, before))
	return made, true, output, r
}

// createByRow makes the first extent of each leg, on row, and extends them: from then on LVM knows which leg is on which
// physical volume.
func (g *group) createByRow(t *testing.T, v volume, bytes int64, on, row []string) (made bool, output string, r report) {
	t.Helper()
	first := int64(max(v.Layout.Stripes, 1)) * extent
	if bytes == first {
		return g.create(t, v, bytes, row)
	}
	output, r = g.run(t, create(v.lv, v.ask(first), row),
		fmt.Sprintf("lvextend --config '%s' --yes --size %db %s/%s %s", config, bytes, name, v.lv, strings.Join(on, " ")))
	return strings.Contains(output, fmt.Sprintf("Logical volume %s/%s successfully resized.", name, v.lv)), output, r
}

// firstExtents are two free extents on each of the physical volumes, each a range of its own: one for the RAID metadata
// of a leg, one for its beginning. With ranges of one length LVM keeps to the order of the physical volumes.
func (g *group) firstExtents(on []string, r report) []string {
	var row []string
	for _, device := range on {
		free := r.free[slices.Index(g.devices, device)]
		row = append(row, fmt.Sprintf("%s:%d-%[2]d:%d-%[3]d", device, free[0], free[1]))
	}
	return row
}
