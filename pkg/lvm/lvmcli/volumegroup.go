package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-dev/berth/pkg/lvm"
)

// metadataArea is what each device gives to metadata. LVM's default of 1 MiB holds some 700 tagged LVs.
const metadataArea = "16m"

// CreateVolumeGroup implements lvm.Manager. The command scans: it is rare, its devices are in no volume group that is
// known, and with --devices LVM would not enter them into the host's devices file.
//
// It is not given --yes. Should LVM find a signature on a device after all, it asks whether to wipe it, reads the end of
// its input for an answer, and gives up.
func (m *Manager) CreateVolumeGroup(ctx context.Context, name string, devices []string) error {
	if err := m.checkNew(name); err != nil {
		return fmt.Errorf("create volume group %s: %w", name, err)
	}
	arguments := append([]string{"vgcreate"}, m.common(nil)...)
	arguments = append(arguments, "--metadatasize", metadataArea, "--addtag", lvm.TagOwned, name)
	if err := m.changeDevices(ctx, name, arguments, devices); err != nil {
		return fmt.Errorf("create volume group %s: %w", name, err)
	}
	return nil
}

// ExtendVolumeGroup implements lvm.Manager; see CreateVolumeGroup.
func (m *Manager) ExtendVolumeGroup(ctx context.Context, name string, devices []string) error {
	arguments := append([]string{"vgextend"}, m.common(nil)...)
	arguments = append(arguments, "--metadatasize", metadataArea, name)
	if err := m.changeDevices(ctx, name, arguments, devices); err != nil {
		return fmt.Errorf("extend volume group %s: %w", name, err)
	}
	return nil
}

// ResizePhysicalVolume implements lvm.Manager. Without --yes LVM shrinks nothing: it would ask first.
func (m *Manager) ResizePhysicalVolume(ctx context.Context, volumeGroup, device string) error {
	arguments := append([]string{"pvresize"}, m.common(nil)...)
	if err := m.changeDevices(ctx, volumeGroup, arguments, []string{device}); err != nil {
		return fmt.Errorf("resize physical volume %s of %s: %w", device, volumeGroup, err)
	}
	return nil
}

// checkNew refuses the name of a volume group that was here and was not removed: on a host that starts while its disks
// are away, a new one of that name would make the old one unusable when they come back.
func (m *Manager) checkNew(name string) error {
	if err := checkNames(name); err != nil {
		return err
	}
	backup := filepath.Join(m.options.BackupDirectory, name)
	_, err := os.Stat(backup)
	if err == nil {
		return fmt.Errorf("%w: %s says that there was one on this host, whose disks may come back; remove the file when they never will",
			lvm.ErrExists, backup)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (m *Manager) changeDevices(ctx context.Context, vg string, arguments, devices []string) error {
	if len(devices) == 0 {
		return fmt.Errorf("no devices: %w", lvm.ErrNotFound)
	}
	for _, device := range devices {
		if !filepath.IsAbs(device) { // an option, or a tag that stands for devices
			return fmt.Errorf("device %q: %w", device, lvm.ErrNotFound)
		}
	}
	r, err := m.change(ctx, vg, vg, command(append(arguments, devices...)))
	m.scopes.forget(vg)
	if err == nil && r.code != 0 {
		err = classifyDevices(arguments[0], r)
	}
	return err
}

// deviceTexts are what LVM says of devices that it does not take, as texts are for LVs.
var deviceTexts = []struct {
	text string
	err  error
}{
	{"existing signature", lvm.ErrInUse}, // "1 existing signature left on the device."
	{"exclusively", lvm.ErrInUse},        // "Can't open … exclusively.  Mounted filesystem?"
	{"is already in volume group", lvm.ErrInUse},
	{"device is partitioned", lvm.ErrInUse},
	{"already exists.", lvm.ErrExists}, // "A volume group called … already exists."
	{"No device found for", lvm.ErrNotFound},
	{"Failed to find device", lvm.ErrNotFound},
	{"Failed to find physical volume", lvm.ErrNotFound},
}

// classifyDevices is classify for commands on devices, with all that LVM says: the line that tells the kind of an error
// often does not name the device or the signature.
func classifyDevices(label string, r result) error {
	words := complaints(r.stderr)
	for _, known := range deviceTexts {
		for _, line := range words {
			if strings.Contains(line, known.text) {
				return fmt.Errorf("lvm %s: %w: %s", label, known.err, strings.Join(words, "; "))
			}
		}
	}
	return classify(label, r)
}
