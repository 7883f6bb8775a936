package lvmcli

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func TestFingerprintOfRecorded(t *testing.T) {
	prints := map[string]string{}
	for _, name := range []string{"before", "after"} {
		print, err := fingerprint(strings.NewReader(recorded(t, "label-"+name+"-2.03.16.bin")))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(print, ";") != 1 {
			t.Errorf("%s: %q, want one metadata area", name, print)
		}
		prints[print] = name
	}
	if len(prints) != 2 {
		t.Errorf("an lvcreate left the fingerprint as it was: %v", prints)
	}
}

// physicalVolume is a physical volume's beginning, made by the format's description, with the label in the sector given
// and one header per metadata area.
func physicalVolume(labelSector int, areas ...uint64) []byte {
	const headerOffset = 32
	device := make([]byte, 64<<10)
	label := device[labelSector*sector:]
	copy(label, labelID)
	binary.LittleEndian.PutUint64(label[8:], uint64(labelSector))
	binary.LittleEndian.PutUint32(label[20:], headerOffset)
	copy(label[24:], labelType)
	// After uuid and device size: one data area at 1 MiB, zeros, the metadata areas, zeros.
	lists := label[headerOffset+40:]
	binary.LittleEndian.PutUint64(lists, 1<<20)
	for i, area := range areas {
		binary.LittleEndian.PutUint64(lists[32+16*i:], area)
		copy(device[area+4:], areaMagic)
		binary.LittleEndian.PutUint64(device[area+40:], 512*uint64(i+1))
	}
	return device
}

func TestFingerprint(t *testing.T) {
	for _, c := range []struct {
		name   string
		device []byte
		want   string
	}{
		{"the usual place", physicalVolume(1, 4096), "200+0:0;"},
		{"label in the first sector", physicalVolume(0, 4096), "200+0:0;"},
		{"label in the last sector that counts", physicalVolume(3, 4096), "200+0:0;"},
		{"two areas, one far away", physicalVolume(1, 4096, 48<<10), "200+0:0;400+0:0;"},
		{"an area that does not begin a block", physicalVolume(1, 40<<10+sector), "200+0:0;"},
		{"no area", physicalVolume(1), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := fingerprint(strings.NewReader(string(c.device)))
			if err != nil || got != c.want {
				t.Errorf("%q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestFingerprintRefuses(t *testing.T) {
	noMagic := physicalVolume(1, 4096)
	noMagic[4096+4] = 0
	oddArea := physicalVolume(1, 4096)
	binary.LittleEndian.PutUint64(oddArea[sector+32+40+32:], 4097)
	endless := physicalVolume(1, 4096)
	for i := sector + 32 + 40; i < 2*sector; i++ {
		endless[i] = 1
	}
	farHeader := physicalVolume(1, 4096)
	binary.LittleEndian.PutUint32(farHeader[sector+20:], 500)
	for name, device := range map[string][]byte{
		"an empty device":                  {},
		"zeros":                            make([]byte, 8192),
		"a label too late":                 physicalVolume(4, 4096),
		"an area without its magic number": noMagic,
		"an area at an odd offset":         oddArea,
		"an area past the end":             physicalVolume(1, 48<<10)[:40<<10],
		"lists without an end":             endless,
		"a header outside of its sector":   farHeader,
		"a device that ends in the label":  physicalVolume(1, 4096)[:sector+100],
	} {
		t.Run(name, func(t *testing.T) {
			if print, err := fingerprint(strings.NewReader(string(slices.Clone(device)))); err == nil {
				t.Errorf("fingerprint %q, want an error", print)
			}
		})
	}
}
