package luks

import (
	"context"
	"errors"
)

// Errors of a Crypt.
var (
	// ErrKey: no key slot of the header opens with this key.
	ErrKey = errors.New("passphrase does not open the volume")
	// ErrNoHeader: there is no LUKS2 header on the device.
	ErrNoHeader = errors.New("no LUKS2 header")
)

// LabelBytes is the longest label.
const LabelBytes = 47

// Crypt is the door to the encrypted devices of one host. A name is that of the plaintext device in device-mapper.
type Crypt interface {
	// Label reads the label in a device's header.
	// Errors: ErrNoHeader.
	Label(device string) (string, error)
	// Format writes a new header that opens with key. What was on the device is lost.
	Format(ctx context.Context, device, label string, key []byte) error
	// SetLabel changes the label, of an open device too.
	SetLabel(ctx context.Context, device, label string) error
	// State says whether a name is open, and whether over this very device. The device need not be there.
	State(name, device string) (State, error)
	// Open makes the plaintext of a device appear at Path(name). With discards it passes on what is discarded: whoever sees
	// the disk sees then which blocks are not used.
	// Errors: ErrKey, ErrNoHeader.
	Open(ctx context.Context, device, name string, key []byte, discards bool) error
	// Grown says whether the device below an open one has become larger since it was opened or resized.
	Grown(name string) (bool, error)
	// Resize makes an open device as large as the one below.
	Resize(ctx context.Context, name string) error
	// Close takes an open device away. Errors: any when it is in use.
	Close(ctx context.Context, name string) error
	// CloseLater has the kernel take it away as soon as nobody uses it.
	CloseLater(ctx context.Context, name string) error
}

// State is how a name is open.
type State int

const (
	// Closed: there is no device of that name.
	Closed State = iota
	// Open over the device asked about.
	Open
	// OpenElsewhere: over another device, or one that is gone.
	OpenElsewhere
)

// Name is the name of a volume's plaintext device. LVM has no @ in its names, so that no device of LVM's is called so: with
// a hyphen, the one of logical volume v in volume group berth would be.
func Name(volumeID string) string { return "berth@" + volumeID }

// Path is the device node of an open device.
func Path(name string) string { return "/dev/mapper/" + name }
