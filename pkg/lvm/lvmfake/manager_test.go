package lvmfake_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"testing"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

func request() lvm.CreateRequest {
	return lvm.CreateRequest{VolumeGroup: group, Name: "pvc-1", SizeBytes: lvmfake.DefaultExtentSizeBytes,
		PhysicalVolumes: []string{"/dev/" + group + "-0"}}
}

// TestHooks loses a command before its effect and a reply after it.
func TestHooks(t *testing.T) {
	lost := errors.New("lost")
	lose := func(_ context.Context, operation lvmfake.Operation, volumeGroup, name string) error {
		if operation != lvmfake.Create || volumeGroup != group || name != "pvc-1" {
			t.Errorf("hook saw %s %s/%s", operation, volumeGroup, name)
		}
		return lost
	}
	for _, c := range []struct {
		name          string
		before, after lvmfake.Hook
		wantMade      bool
	}{
		{name: "before the effect", before: lose},
		{name: "after the effect", after: lose, wantMade: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := lvmfake.New("")
			fake.AddVolumeGroup(group, pvBytes)
			fake.SetHooks(c.before, c.after)
			if err := fake.Create(context.Background(), request()); !errors.Is(err, lost) {
				t.Errorf("error %v, want the hook's", err)
			}
			fake.SetHooks(nil, nil)
			report, err := fake.Report(context.Background(), []string{group})
			if err != nil {
				t.Fatal(err)
			}
			vg := report.VolumeGroups[group]
			if _, made := vg.LogicalVolume("pvc-1"); made != c.wantMade {
				t.Errorf("made: %t, want %t", made, c.wantMade)
			}
		})
	}
}

func TestExecutions(t *testing.T) {
	fake := lvmfake.New("")
	fake.AddVolumeGroup(group, pvBytes)
	fake.DevicePath(group, "pvc-1")
	for range 2 { // the refused one counts
		err := fake.Create(context.Background(), request())
		if err != nil && !errors.Is(err, lvm.ErrExists) {
			t.Fatal(err)
		}
	}
	if err := fake.Remove(context.Background(), group, "pvc-1"); err != nil {
		t.Fatal(err)
	}
	want := map[lvmfake.Operation]int{lvmfake.Create: 2, lvmfake.Remove: 1}
	if got := fake.Executions(); !maps.Equal(got, want) {
		t.Errorf("executions %v, want %v", got, want)
	}
}

func TestUnusableVolumeGroup(t *testing.T) {
	for name, spoil := range map[string]func(*lvm.VolumeGroup){
		"exported":       func(vg *lvm.VolumeGroup) { vg.Refusal = "it is exported" },
		"device missing": func(vg *lvm.VolumeGroup) { vg.PhysicalVolumes[1].Missing = true },
	} {
		t.Run(name, func(t *testing.T) {
			fake := lvmfake.New("")
			fake.AddVolumeGroup(group, pvBytes, pvBytes)
			fake.Change(group, spoil)
			if err := fake.Create(context.Background(), request()); !errors.Is(err, lvm.ErrUnusable) {
				t.Errorf("error %v, want unusable", err)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	fake := lvmfake.New("")
	fake.AddVolumeGroup(group, pvBytes)
	device := "/dev/" + group + "-0"
	before, err := fake.Fingerprint(device)
	if err != nil {
		t.Fatal(err)
	}
	if err := fake.AddLogicalVolume(group, "operator", lvmfake.DefaultExtentSizeBytes); err != nil {
		t.Fatal(err)
	}
	if after, err := fake.Fingerprint(device); err != nil || after == before {
		t.Errorf("fingerprint %q after %q (%v), want another", after, before, err)
	}
	fake.RemoveVolumeGroup(group)
	if _, err := fake.Fingerprint(device); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want not exist", err)
	}
}
