package luks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	utilexec "k8s.io/utils/exec"
	exectesting "k8s.io/utils/exec/testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

// script answers one cryptsetup after the other with these exit statuses, and keeps what each got.
type script struct {
	exectesting.FakeExec
	arguments []string
	input     []string
	env       []string
}

func newScript(statuses ...int) *script {
	s := &script{}
	for _, status := range statuses {
		s.CommandScript = append(s.CommandScript, func(command string, arguments ...string) utilexec.Cmd {
			s.arguments = append(s.arguments, strings.Join(append([]string{command}, arguments...), " "))
			cmd := &exectesting.FakeCmd{}
			cmd.CombinedOutputScript = []exectesting.FakeAction{func() ([]byte, []byte, error) {
				s.env = cmd.Env
				s.input = append(s.input, content(cmd.Stdin))
				if status == 0 {
					return nil, nil, nil
				}
				return []byte("it says why"), nil, &exectesting.FakeExitError{Status: status}
			}}
			return exectesting.InitFakeCmd(cmd, command, arguments...)
		})
	}
	return s
}

func content(reader io.Reader) string {
	if reader == nil {
		return ""
	}
	data, _ := io.ReadAll(reader)
	return string(data)
}

func TestCommands(t *testing.T) {
	const key = "correct horse"
	ctx := t.Context()
	for name, test := range map[string]struct {
		call     func(*Cryptsetup) error
		statuses []int
		want     []string
		wantKey  bool
		wantErr  error
		wantText string
	}{
		"format": {
			call:     func(c *Cryptsetup) error { return c.Format(ctx, "/dev/d", "l", []byte(key)) },
			statuses: []int{0}, wantKey: true,
			want: []string{"cryptsetup luksFormat --type luks2 --batch-mode --pbkdf argon2id --pbkdf-memory 65536 --pbkdf-parallel 1 --pbkdf-force-iterations 4 --label l --key-file=- /dev/d"},
		},
		"format fails": {
			call:     func(c *Cryptsetup) error { return c.Format(ctx, "/dev/d", "l", []byte(key)) },
			statuses: []int{4}, wantKey: true, wantText: "it says why",
		},
		"open": {
			call:     func(c *Cryptsetup) error { return c.Open(ctx, "/dev/d", "n", []byte(key), false) },
			statuses: []int{0}, wantKey: true,
			want: []string{"cryptsetup open --type luks2 --disable-keyring --key-file=- /dev/d n"},
		},
		"open with discards": {
			call:     func(c *Cryptsetup) error { return c.Open(ctx, "/dev/d", "n", []byte(key), true) },
			statuses: []int{0}, wantKey: true,
			want: []string{"cryptsetup open --type luks2 --disable-keyring --key-file=- --allow-discards /dev/d n"},
		},
		"wrong key": {
			call:     func(c *Cryptsetup) error { return c.Open(ctx, "/dev/d", "n", []byte(key), false) },
			statuses: []int{2}, wantKey: true, wantErr: ErrKey,
		},
		"no header": {
			call:     func(c *Cryptsetup) error { return c.Open(ctx, "/dev/d", "n", []byte(key), false) },
			statuses: []int{1, 1}, wantKey: true, wantErr: ErrNoHeader,
		},
		"busy": {
			call:     func(c *Cryptsetup) error { return c.Open(ctx, "/dev/d", "n", []byte(key), false) },
			statuses: []int{5, 0}, wantKey: true, wantText: "it says why",
		},
		"label":       {call: func(c *Cryptsetup) error { return c.SetLabel(ctx, "/dev/d", "l") }, statuses: []int{0}, want: []string{"cryptsetup config --label l /dev/d"}},
		"resize":      {call: func(c *Cryptsetup) error { return c.Resize(ctx, "n") }, statuses: []int{0}, want: []string{"cryptsetup resize n"}},
		"close":       {call: func(c *Cryptsetup) error { return c.Close(ctx, "n") }, statuses: []int{0}, want: []string{"cryptsetup close n"}},
		"close later": {call: func(c *Cryptsetup) error { return c.CloseLater(ctx, "n") }, statuses: []int{0}, want: []string{"cryptsetup close --deferred n"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(test.statuses...)
			err := test.call(New(s))
			if (err == nil) != (test.wantErr == nil && test.wantText == "") || !errors.Is(err, test.wantErr) && test.wantErr != nil {
				t.Errorf("error %v, want %v", err, test.wantErr)
			}
			if test.wantText != "" && !strings.Contains(fmt.Sprint(err), test.wantText) {
				t.Errorf("error %v, want %q in it", err, test.wantText)
			}
			if strings.Contains(fmt.Sprint(err, s.arguments), key) {
				t.Errorf("the key is in %v or %v", err, s.arguments)
			}
			if test.want != nil && !slices.Equal(s.arguments, test.want) {
				t.Errorf("ran %q, want %q", s.arguments, test.want)
			}
			if wanted := map[bool]string{true: key}[test.wantKey]; s.input[0] != wanted {
				t.Errorf("input %q, want %q", s.input[0], wanted)
			}
			if !slices.Contains(s.env, "DM_DISABLE_UDEV=1") {
				t.Errorf("environment %q", s.env)
			}
		})
	}
}

func TestLabel(t *testing.T) {
	header := func(version uint16, label string) []byte {
		b := make([]byte, 4096)
		copy(b, magic)
		binary.BigEndian.PutUint16(b[versionAt:], version)
		copy(b[labelAt:], label)
		return b
	}
	longest := strings.Repeat("x", LabelBytes)
	for name, test := range map[string]struct {
		content []byte
		want    string
		none    bool
	}{
		"a label":      {content: header(2, "pvc-1"), want: "pvc-1"},
		"the longest":  {content: header(2, longest), want: longest},
		"no label":     {content: header(2, "")},
		"LUKS1":        {content: header(1, "pvc-1"), none: true},
		"zeros":        {content: make([]byte, 4096), none: true},
		"short device": {content: []byte(magic), none: true},
		"empty device": {none: true},
		"second only":  {content: []byte(strings.Repeat("SKUL", 100)), none: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "device")
			if err := os.WriteFile(path, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			label, err := New(nil).Label(path)
			if label != test.want || errors.Is(err, ErrNoHeader) != test.none || err != nil && !test.none {
				t.Errorf("label %q, error %v; want %q, none %v", label, err, test.want, test.none)
			}
		})
	}
}

// kernel is a /sys with device 253:7, opened by cryptsetup under the name n over 253:3.
func kernel(t *testing.T, uuid string, insideBytes, outsideBytes int64, slaves ...string) *Cryptsetup {
	sys := t.TempDir()
	directory := filepath.Join(sys, "dev", "block", "253:7")
	write := func(name, content string) {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("dm/uuid", uuid)
	write("size", fmt.Sprint(insideBytes/512))
	if err := os.MkdirAll(filepath.Join(directory, "slaves"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, slave := range slaves {
		write("slaves/"+slave+"/dev", "253:3")
		write("slaves/"+slave+"/size", fmt.Sprint(outsideBytes/512))
	}
	numbers := map[string]string{"/dev/mapper/n": "253:7", "/dev/vg/lv": "253:3", "/dev/vg/other": "253:4"}
	return &Cryptsetup{sys: sys, number: func(path string) (string, error) {
		if number, ok := numbers[path]; ok {
			return number, nil
		}
		return "", fs.ErrNotExist
	}}
}

func TestState(t *testing.T) {
	const ours = "CRYPT-LUKS2-0123-n"
	for name, test := range map[string]struct {
		uuid, name, device string
		slaves             []string
		want               State
		fails              bool
	}{
		"closed":               {uuid: ours, name: "m", device: "/dev/vg/lv", slaves: []string{"dm-3"}, want: Closed},
		"open":                 {uuid: ours, name: "n", device: "/dev/vg/lv", slaves: []string{"dm-3"}, want: Open},
		"over another":         {uuid: ours, name: "n", device: "/dev/vg/other", slaves: []string{"dm-3"}, want: OpenElsewhere},
		"over any":             {uuid: ours, name: "n", slaves: []string{"dm-3"}, want: OpenElsewhere},
		"its device is lost":   {uuid: ours, name: "n", device: "/dev/vg/lv", want: OpenElsewhere},
		"it is not cryptsetup": {uuid: "LVM-0123", name: "n", device: "/dev/vg/lv", slaves: []string{"dm-3"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			state, err := kernel(t, test.uuid, 0, 0, test.slaves...).State(test.name, test.device)
			if state != test.want || (err != nil) != test.fails {
				t.Errorf("state %d, error %v; want %d", state, err, test.want)
			}
		})
	}
}

func TestGrown(t *testing.T) {
	const gi = int64(1) << 30
	for name, test := range map[string]struct {
		inside, outside int64
		want            bool
	}{
		"as it was opened": {gi - lvm.LUKSHeaderBytes, gi, false},
		"one extent more":  {gi - lvm.LUKSHeaderBytes, gi + 4<<20, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := kernel(t, "CRYPT-LUKS2-0123-n", test.inside, test.outside, "dm-3")
			if got, err := c.Grown("n"); got != test.want || err != nil {
				t.Errorf("grown %v, error %v; want %v", got, err, test.want)
			}
			if _, err := c.Grown("m"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("one that is closed: %v", err)
			}
		})
	}
}
