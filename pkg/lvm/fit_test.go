package lvm_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

const extent = 4 << 20

// space has extents of 4 MiB, and physical volumes a, b, c, … with so many free ones.
func space(heldBytes int64, freeExtents ...int64) lvm.Space {
	s := lvm.Space{ExtentSizeBytes: extent, HeldBytes: heldBytes}
	for i, extents := range freeExtents {
		s.PhysicalVolumes = append(s.PhysicalVolumes, lvm.FreeSpace{Name: string(rune('a' + i)), FreeBytes: extents * extent})
	}
	return s
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		name  string
		space lvm.Space
		sizes []int64
		// wantOn has the physical volumes of each volume, joined by commas.
		wantOn   []string
		wantFree int64
		wantErr  error
	}{
		{name: "exact fit", space: space(0, 10), sizes: []int64{10 * extent}, wantOn: []string{"a"}},
		// 10 extents and a byte are 11 extents.
		{name: "one byte more", space: space(0, 10), sizes: []int64{10*extent + 1}, wantErr: lvm.ErrNoSpace},
		// 9 extents and a byte are 10.
		{name: "rounded up to exactly what is there", space: space(0, 10), sizes: []int64{9*extent + 1}, wantOn: []string{"a"}},
		{name: "one byte takes an extent", space: space(0, 10), sizes: []int64{1}, wantOn: []string{"a"}, wantFree: 9 * extent},
		{name: "zero bytes", space: space(0, 10), sizes: []int64{0}, wantErr: lvm.ErrInvalidSize},
		{name: "negative", space: space(0, 10), sizes: []int64{-extent}, wantErr: lvm.ErrInvalidSize},
		{name: "rounding overflows", space: space(0, 10), sizes: []int64{math.MaxInt64}, wantErr: lvm.ErrInvalidSize},
		{name: "largest multiple", space: space(0, 10), sizes: []int64{math.MaxInt64 - extent + 1}, wantErr: lvm.ErrNoSpace},
		{name: "no extent size", space: lvm.Space{}, sizes: []int64{1}, wantErr: lvm.ErrInvalidSize},
		{name: "no physical volumes", space: space(0), sizes: []int64{1}, wantErr: lvm.ErrNoSpace},
		{name: "nothing asked", space: space(0, 10), wantFree: 10 * extent},
		// 10 - 4 held = 6.
		{name: "held bytes are kept", space: space(4*extent, 10), sizes: []int64{6 * extent}, wantOn: []string{"a"}},
		{name: "held bytes are not given", space: space(4*extent, 10), sizes: []int64{7 * extent}, wantErr: lvm.ErrNoSpace},
		// 10 extents less a byte hold 9 whole ones.
		{name: "a held byte costs an extent", space: space(1, 10), sizes: []int64{10 * extent}, wantErr: lvm.ErrNoSpace},
		{name: "more held than there is", space: space(11*extent, 10), sizes: []int64{1}, wantErr: lvm.ErrNoSpace},
		// 5 fits on b (6) and c (9); b leaves less over.
		{name: "the tightest physical volume", space: space(0, 4, 6, 9), sizes: []int64{5 * extent}, wantOn: []string{"b"}, wantFree: 14 * extent},
		// 12 is more than any; c gives 9, b the other 3; a is left alone.
		{name: "the fewest physical volumes", space: space(0, 4, 6, 9), sizes: []int64{12 * extent}, wantOn: []string{"c,b"}, wantFree: 7 * extent},
		{name: "all physical volumes", space: space(0, 4, 6, 9), sizes: []int64{19 * extent}, wantOn: []string{"c,b,a"}},
		// 6 takes all of b, 4 all of a, 5 and 4 fill c.
		{name: "jointly exact", space: space(0, 4, 6, 9), sizes: []int64{6 * extent, 4 * extent, 5 * extent, 4 * extent}, wantOn: []string{"b", "a", "c", "c"}},
		// 6 + 4 + 9 = 19 fill all; there is no 20th.
		{name: "jointly one byte too much", space: space(0, 4, 6, 9), sizes: []int64{6 * extent, 4 * extent, 9 * extent, 1}, wantErr: lvm.ErrNoSpace},
		// 1 takes a whole extent twice: 2 of 2.
		{name: "each volume is rounded by itself", space: space(0, 2), sizes: []int64{1, 1, 1}, wantErr: lvm.ErrNoSpace},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := slices.Clone(c.space.PhysicalVolumes)
			placements, left, err := c.space.Fit(c.sizes)
			if !errors.Is(err, c.wantErr) {
				t.Fatalf("error %v, want %v", err, c.wantErr)
			}
			if !slices.Equal(before, c.space.PhysicalVolumes) {
				t.Errorf("the space asked was changed to %v", c.space.PhysicalVolumes)
			}
			if err != nil {
				return
			}
			var on []string
			for _, p := range placements {
				on = append(on, strings.Join(p.PhysicalVolumes, ","))
			}
			if !slices.Equal(on, c.wantOn) {
				t.Errorf("placed on %v, want %v", on, c.wantOn)
			}
			if left.FreeBytes() != c.wantFree {
				t.Errorf("%d bytes left, want %d", left.FreeBytes(), c.wantFree)
			}
		})
	}
}

// extents is a naive volume group: every free extent is an element that names its physical volume.
type extents []string

// take removes n extents from the physical volumes named, in the order they lie in.
func (e extents) take(n int64, from []string) (extents, bool) {
	var left extents
	for _, name := range e {
		if n > 0 && slices.Contains(from, name) {
			n--
			continue
		}
		left = append(left, name)
	}
	return left, n == 0
}

// space is what a report of the twin would say of s.
func (e extents) space(s lvm.Space) lvm.Space {
	s.PhysicalVolumes = slices.Clone(s.PhysicalVolumes)
	for i := range s.PhysicalVolumes {
		pv := &s.PhysicalVolumes[i]
		pv.FreeBytes = 0
		for _, name := range e {
			if name == pv.Name {
				pv.FreeBytes += extent
			}
		}
	}
	return s
}

// TestFitAgainstTwin lets a naive LVM make what Fit placed, extent by extent, on the physical volumes that Fit named. It
// makes them as the agent does, one by one, each placed anew.
func TestFitAgainstTwin(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		held := random.Int64N(5 * extent)
		s := space(held)
		var twin extents
		for i := range random.IntN(5) {
			name, n := string(rune('a'+i)), random.Int64N(12)
			s.PhysicalVolumes = append(s.PhysicalVolumes, lvm.FreeSpace{Name: name, FreeBytes: n * extent})
			for range n {
				twin = append(twin, name)
			}
		}
		var sizes []int64
		wanted := int64(0)
		for range 1 + random.IntN(4) {
			size := 1 + random.Int64N(10*extent)
			sizes = append(sizes, size)
			for ; size > 0; size -= extent {
				wanted++
			}
		}
		_, left, err := s.Fit(sizes)
		if fits := wanted*extent+held <= int64(len(twin))*extent; fits != (err == nil) {
			t.Fatalf("%+v, volumes of %v: %v, but %d extents are wanted", s, sizes, err, wanted)
		}
		if err != nil {
			continue
		}
		if got, want := left.FreeBytes(), (int64(len(twin))-wanted)*extent-held; got != want {
			t.Fatalf("%+v, volumes of %v: %d bytes left, want %d", s, sizes, got, want)
		}
		for i := range sizes {
			placements, _, err := twin.space(s).Fit(sizes[i:])
			if err != nil {
				t.Fatalf("%+v, volumes of %v: they do not fit any more after %d of them: %v", s, sizes, i, err)
			}
			var made bool
			if twin, made = twin.take(placements[0].SizeBytes/extent, placements[0].PhysicalVolumes); !made {
				t.Fatalf("%+v, volumes of %v: placement %d %+v does not hold its volume", s, sizes, i, placements[0])
			}
		}
	}
}

func TestMaximumVolumeBytes(t *testing.T) {
	for _, c := range []struct {
		name  string
		space lvm.Space
		want  int64
	}{
		{"all physical volumes together", space(0, 3, 4), 7 * extent},
		{"less what is held, in whole extents", space(1, 3, 4), 6 * extent},
		{"nothing free", space(8*extent, 3, 4), 0},
		{"extent size not known", lvm.Space{}, 0},
		{"more than an int64", lvm.Space{ExtentSizeBytes: 1, PhysicalVolumes: []lvm.FreeSpace{
			{Name: "a", FreeBytes: math.MaxInt64}, {Name: "b", FreeBytes: 1}}}, math.MaxInt64},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.space.MaximumVolumeBytes()
			if got != c.want {
				t.Errorf("%d bytes, want %d", got, c.want)
			}
			if got > 0 {
				if _, _, err := c.space.Fit([]int64{got}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestSpaceOfVolumeGroup(t *testing.T) {
	vg := lvm.VolumeGroup{ExtentSizeBytes: extent, PhysicalVolumes: []lvm.PhysicalVolume{
		{Name: "open", FreeBytes: 5 * extent, Allocatable: true},
		{Name: "closed", FreeBytes: 7 * extent},
		{Name: "missing", FreeBytes: 9 * extent, Allocatable: true, Missing: true},
	}}
	s := vg.Space(2 * extent)
	// 5 - 2: closed and missing physical volumes give nothing.
	if s.FreeBytes() != 3*extent {
		t.Errorf("%d bytes free, want 3 extents", s.FreeBytes())
	}
	if placements, _, err := s.Fit([]int64{3 * extent}); err != nil || !slices.Equal(placements[0].PhysicalVolumes, []string{"open"}) {
		t.Errorf("placed %v (%v), want it on the open one", placements, err)
	}
}
