// Package luksfake is a luks.Crypt in memory, for tests.
package luksfake

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/berth-dev/berth/pkg/luks"
)

// Crypt keeps headers by device and open devices by name. Safe for concurrent use.
type Crypt struct {
	mu      sync.Mutex
	headers map[string]header
	opened  map[string]Opened
	fail    func(operation, target string) error
	calls   []string
}

type header struct {
	label string
	key   []byte
}

// Opened is an open device.
type Opened struct {
	// Device is what it lies on.
	Device   string
	Discards bool
	// Grown is true when the device below is larger.
	Grown bool
	// Doomed is true when it goes as soon as nobody uses it.
	Doomed bool
}

var _ luks.Crypt = &Crypt{}

// New returns a host without headers.
func New() *Crypt {
	return &Crypt{headers: map[string]header{}, opened: map[string]Opened{}, fail: func(string, string) error { return nil }}
}

// SetHeader puts a header on a device, as another life left it.
func (c *Crypt) SetHeader(device, label, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers[device] = header{label, []byte(key)}
}

// SetOpened opens a name, as another life left it.
func (c *Crypt) SetOpened(name string, opened Opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened[name] = opened
}

// Fail makes changes fail: it is asked with the operation (format, label, open, resize, close, close later) and its device or name.
func (c *Crypt) Fail(fail func(operation, target string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

// Opened is what is open.
func (c *Crypt) Opened() map[string]Opened {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.opened)
}

// Calls are the changes asked for, failed ones too, each as "operation target".
func (c *Crypt) Calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.calls...)
}

// change does one change under the lock, unless it is to fail.
func (c *Crypt) change(operation, target string, do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, operation+" "+target)
	if err := c.fail(operation, target); err != nil {
		return err
	}
	return do()
}

// Label implements luks.Crypt.
func (c *Crypt) Label(device string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.headers[device]
	if !ok {
		return "", fmt.Errorf("%s: %w", device, luks.ErrNoHeader)
	}
	return h.label, nil
}

// Format implements luks.Crypt.
func (c *Crypt) Format(_ context.Context, device, label string, key []byte) error {
	return c.change("format", device, func() error {
		c.headers[device] = header{label, bytes.Clone(key)}
		return nil
	})
}

// SetLabel implements luks.Crypt.
func (c *Crypt) SetLabel(_ context.Context, device, label string) error {
	return c.change("label", device, func() error {
		h, ok := c.headers[device]
		if !ok {
			return fmt.Errorf("%s: %w", device, luks.ErrNoHeader)
		}
		c.headers[device] = header{label, h.key}
		return nil
	})
}

// State implements luks.Crypt.
func (c *Crypt) State(name, device string) (luks.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	opened, ok := c.opened[name]
	switch {
	case !ok:
		return luks.Closed, nil
	case opened.Device == device:
		return luks.Open, nil
	}
	return luks.OpenElsewhere, nil
}

// Open implements luks.Crypt.
func (c *Crypt) Open(_ context.Context, device, name string, key []byte, discards bool) error {
	return c.change("open", name, func() error {
		h, ok := c.headers[device]
		if !ok {
			return fmt.Errorf("%s: %w", device, luks.ErrNoHeader)
		}
		if !bytes.Equal(h.key, key) {
			return luks.ErrKey
		}
		if _, ok := c.opened[name]; ok {
			return fmt.Errorf("device %s already exists", name)
		}
		c.opened[name] = Opened{Device: device, Discards: discards}
		return nil
	})
}

// Grown implements luks.Crypt.
func (c *Crypt) Grown(name string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened[name].Grown, nil
}

// Resize implements luks.Crypt.
func (c *Crypt) Resize(_ context.Context, name string) error {
	return c.change("resize", name, func() error {
		opened, ok := c.opened[name]
		if !ok {
			return fmt.Errorf("device %s is not active", name)
		}
		opened.Grown = false
		c.opened[name] = opened
		return nil
	})
}

// Close implements luks.Crypt.
func (c *Crypt) Close(_ context.Context, name string) error {
	return c.change("close", name, func() error {
		if _, ok := c.opened[name]; !ok {
			return fmt.Errorf("device %s is not active", name)
		}
		delete(c.opened, name)
		return nil
	})
}

// CloseLater implements luks.Crypt.
func (c *Crypt) CloseLater(_ context.Context, name string) error {
	return c.change("close later", name, func() error {
		opened, ok := c.opened[name]
		if !ok {
			return fmt.Errorf("device %s is not active", name)
		}
		opened.Doomed = true
		c.opened[name] = opened
		return nil
	})
}
