package lvm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
)

func TestParseSnapshotParameters(t *testing.T) {
	for _, c := range []struct {
		name  string
		given map[string]string
		want  lvm.SnapshotParameters
		// wantBytes for a volume of 1000 extents of 4 MiB.
		wantBytes int64
		wantErr   error
		wantWord  string
	}{
		// The whole is 1024000 chunks of 4 KiB, 4000 for their table and a header: 4210692096, of which a fifth.
		{name: "none", want: lvm.SnapshotParameters{SizePercent: 20}, wantBytes: 842138419},
		{name: "percent", given: map[string]string{"snapshotSize": "100%"}, want: lvm.SnapshotParameters{SizePercent: 100}, wantBytes: 4210692096},
		{name: "bytes", given: map[string]string{"snapshotSize": "1Gi"}, want: lvm.SnapshotParameters{SizeBytes: 1 << 30}, wantBytes: 1 << 30},
		{name: "more than the volume", given: map[string]string{"snapshotSize": "1Ti"}, want: lvm.SnapshotParameters{SizeBytes: 1 << 40}, wantBytes: 4210692096},
		{name: "empty", given: map[string]string{"snapshotSize": ""}, want: lvm.SnapshotParameters{SizePercent: 20}, wantBytes: 842138419},
		{
			name: "what csi-snapshotter adds",
			given: map[string]string{"csi.storage.k8s.io/volumesnapshot/name": "before", "csi.storage.k8s.io/volumesnapshot/namespace": "db",
				"csi.storage.k8s.io/volumesnapshotcontent/name": "snapcontent-1"},
			want: lvm.SnapshotParameters{SizePercent: 20, SnapshotNamespace: "db", SnapshotName: "before"}, wantBytes: 842138419,
		},
		{name: "unknown", given: map[string]string{"size": "1Gi"}, wantErr: lvm.ErrUnknownParameter, wantWord: `"size"`},
		{name: "nothing", given: map[string]string{"snapshotSize": "0"}, wantErr: lvm.ErrInvalidParameter, wantWord: `"0"`},
		{name: "no percent", given: map[string]string{"snapshotSize": "0%"}, wantErr: lvm.ErrInvalidParameter, wantWord: `"0%"`},
		{name: "beyond all", given: map[string]string{"snapshotSize": "101%"}, wantErr: lvm.ErrInvalidParameter, wantWord: `"101%"`},
		{name: "negative", given: map[string]string{"snapshotSize": "-1Gi"}, wantErr: lvm.ErrInvalidParameter, wantWord: `"-1Gi"`},
		{name: "no number", given: map[string]string{"snapshotSize": "all"}, wantErr: lvm.ErrInvalidParameter, wantWord: `"all"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := lvm.ParseSnapshotParameters(c.given)
			if got != c.want || !errors.Is(err, c.wantErr) {
				t.Fatalf("%+v (%v), want %+v (%v)", got, err, c.want, c.wantErr)
			}
			if err != nil {
				if !strings.Contains(err.Error(), c.wantWord) {
					t.Errorf("error %v does not say %s", err, c.wantWord)
				}
				return
			}
			if bytes := got.Bytes(4000 << 20); bytes != c.wantBytes {
				t.Errorf("%d bytes, want %d", bytes, c.wantBytes)
			}
		})
	}
}

func TestParseMutableParameters(t *testing.T) {
	for _, c := range []struct {
		name     string
		given    map[string]string
		want     lvm.MutableParameters
		wantErr  error
		wantWord string
	}{
		{name: "none"},
		{
			name:  "all",
			given: map[string]string{"readIOPS": "500", "writeIOPS": "1k", "readBytesPerSecond": "20Mi", "writeBytesPerSecond": "0"},
			want:  lvm.MutableParameters{ReadIOPS: 500, WriteIOPS: 1000, ReadBytesPerSecond: 20 << 20},
		},
		{name: "unknown", given: map[string]string{"iops": "1"}, wantErr: lvm.ErrUnknownParameter, wantWord: `"iops"`},
		{name: "negative", given: map[string]string{"readIOPS": "-1"}, wantErr: lvm.ErrInvalidParameter, wantWord: "readIOPS"},
		{name: "half", given: map[string]string{"readIOPS": "500m"}, wantErr: lvm.ErrInvalidParameter, wantWord: "readIOPS"},
		{name: "empty", given: map[string]string{"writeIOPS": ""}, wantErr: lvm.ErrInvalidParameter, wantWord: "writeIOPS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := lvm.ParseMutableParameters(c.given)
			if got != c.want || !errors.Is(err, c.wantErr) || err != nil && !strings.Contains(err.Error(), c.wantWord) {
				t.Errorf("%+v (%v), want %+v (%v)", got, err, c.want, c.wantErr)
			}
		})
	}
}
