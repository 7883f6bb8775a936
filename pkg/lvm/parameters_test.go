package lvm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func TestParseParameters(t *testing.T) {
	for _, c := range []struct {
		name  string
		given map[string]string
		want  lvm.Parameters
		// wantErr and the words its text must contain.
		wantErr   error
		wantWords []string
	}{
		{name: "none", want: lvm.Parameters{FSType: "ext4"}},
		{
			name:  "all",
			given: map[string]string{"deviceClass": "ssd", "csi.storage.k8s.io/fstype": "xfs", "erase": "discard"},
			want:  lvm.Parameters{DeviceClass: "ssd", FSType: "xfs", Erase: "discard"},
		},
		{
			name:  "empty values are the defaults",
			given: map[string]string{"deviceClass": "", "csi.storage.k8s.io/fstype": "", "erase": ""},
			want:  lvm.Parameters{FSType: "ext4"},
		},
		{
			name: "what csi-provisioner adds",
			given: map[string]string{"csi.storage.k8s.io/pvc/name": "data", "csi.storage.k8s.io/pvc/namespace": "db",
				"csi.storage.k8s.io/pv/name": "pvc-1"},
			want: lvm.Parameters{FSType: "ext4", ClaimName: "data", ClaimNamespace: "db"},
		},
		{
			name: "the secret of an encrypted class",
			given: map[string]string{"csi.storage.k8s.io/node-stage-secret-name": "key", "csi.storage.k8s.io/node-stage-secret-namespace": "db",
				"csi.storage.k8s.io/node-expand-secret-name": "key", "csi.storage.k8s.io/node-expand-secret-namespace": "db"},
			want: lvm.Parameters{FSType: "ext4"},
		},
		{
			name:      "another secret",
			given:     map[string]string{"csi.storage.k8s.io/provisioner-secret-name": "key"},
			wantErr:   lvm.ErrUnknownParameter,
			wantWords: []string{"provisioner-secret-name"},
		},
		{
			name:      "unknown key",
			given:     map[string]string{"deviceclass": "ssd"},
			wantErr:   lvm.ErrUnknownParameter,
			wantWords: []string{`"deviceclass"`, "deviceClass", "erase"},
		},
		{
			name:      "unknown file system",
			given:     map[string]string{"csi.storage.k8s.io/fstype": "zfs"},
			wantErr:   lvm.ErrInvalidParameter,
			wantWords: []string{"csi.storage.k8s.io/fstype", `"zfs"`, "ext4, xfs, btrfs"},
		},
		{
			name:      "unknown erasure",
			given:     map[string]string{"erase": "shred"},
			wantErr:   lvm.ErrInvalidParameter,
			wantWords: []string{"erase", `"shred"`, "none, discard, zero"},
		},
		{
			name:      "of two faults the first by key",
			given:     map[string]string{"zone": "a", "erase": "shred"},
			wantErr:   lvm.ErrInvalidParameter,
			wantWords: []string{"erase"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := lvm.ParseParameters(c.given)
			if got != c.want || !errors.Is(err, c.wantErr) {
				t.Errorf("%+v (%v), want %+v (%v)", got, err, c.want, c.wantErr)
			}
			for _, word := range c.wantWords {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("error %v does not say %s", err, word)
				}
			}
		})
	}
}

func TestEraseFor(t *testing.T) {
	for _, c := range []struct {
		erase   string
		block   bool
		want    string
		wantErr error
	}{
		{erase: "", want: "none"},
		{erase: "none", want: "none"},
		{erase: "discard", want: "discard"},
		{erase: "zero", want: "zero"},
		{erase: "", block: true, want: "zero"},
		{erase: "zero", block: true, want: "zero"},
		{erase: "none", block: true, wantErr: lvm.ErrInvalidParameter},
		{erase: "discard", block: true, wantErr: lvm.ErrInvalidParameter},
	} {
		got, err := lvm.Parameters{Erase: c.erase}.EraseFor(c.block)
		if got != c.want || !errors.Is(err, c.wantErr) {
			t.Errorf("erase %q, block %t: %q (%v), want %q (%v)", c.erase, c.block, got, err, c.want, c.wantErr)
		}
	}
}
