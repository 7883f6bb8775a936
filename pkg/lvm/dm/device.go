package dm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Device is one device-mapper device as it was at one moment.
type Device struct {
	Name string
	UUID string
	// OpenCount is how often it is open: mounts, holders and processes.
	OpenCount int
	// Suspended devices hold back all reads and writes.
	Suspended bool
	// Live is true when the device has a table it works by, Inactive when another one is loaded and waits for a
	// resume.
	Live, Inactive bool
}

// Devices lists all device-mapper devices.
// Errors: os.ErrNotExist when the kernel has no device-mapper.
func Devices(ctx context.Context) ([]Device, error) {
	c, err := open()
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.devices(ctx, func(string) bool { return true })
}

// ResumeOurs resumes those of the named devices that LVM made and that are suspended, and returns their names. A table
// that was loaded and not yet in force is dropped first: a resume would put it in force, and whoever loaded it did
// not live to say that it is right. The names are as Name makes them.
func ResumeOurs(ctx context.Context, names []string) ([]string, error) {
	c, err := open()
	if err != nil {
		return nil, err
	}
	defer c.close()
	devices, err := c.devices(ctx, func(name string) bool { return slices.Contains(names, name) })
	if err != nil {
		return nil, err
	}
	var resumed []string
	var errs []error
	for _, device := range devices {
		if !device.Suspended || !device.Live || !strings.HasPrefix(device.UUID, uuidPrefix) {
			continue
		}
		if err := c.resume(device); err != nil {
			errs = append(errs, err)
			continue
		}
		resumed = append(resumed, device.Name)
	}
	return resumed, errors.Join(errs...)
}

func (c control) resume(device Device) error {
	if device.Inactive {
		if _, _, err := c.call(tableClear, device.Name, 0, headerSize); err != nil {
			return fmt.Errorf("clear the inactive table of %s: %w", device.Name, err)
		}
	}
	if _, _, err := c.call(devSuspend, device.Name, 0, headerSize); err != nil {
		return fmt.Errorf("resume %s: %w", device.Name, err)
	}
	return nil
}

// devices asks for the status of each device wanted.
func (c control) devices(ctx context.Context, wanted func(name string) bool) ([]Device, error) {
	names, err := c.names()
	if err != nil {
		return nil, err
	}
	var devices []Device
	for _, name := range names {
		if !wanted(name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, _, err := c.call(devStatus, name, 0, headerSize)
		if errors.Is(err, unix.ENXIO) { // gone since it was listed
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("status of %s: %w", name, err)
		}
		devices = append(devices, Device{
			Name:      name,
			UUID:      string(h.uuid[:max(bytes.IndexByte(h.uuid[:], 0), 0)]),
			OpenCount: int(h.openCount),
			Suspended: h.flags&flagSuspend != 0,
			Live:      h.flags&flagActivePresent != 0,
			Inactive:  h.flags&flagInactivePresent != 0,
		})
	}
	return devices, nil
}
