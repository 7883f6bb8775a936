package agent

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/disks"
	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

// fakeDisks are disks in memory, which the fake LVM has, too.
type fakeDisks struct {
	rig *rig

	mu    sync.Mutex
	disks []disks.Disk
	// refusals say what is on a disk that is not empty, signatures what is on an LV.
	refusals, signatures map[string]string
	// full keeps files from being attached.
	full bool
	// checks counts the disks that were read.
	checks int
}

// plug adds a disk, or changes one.
func (d *fakeDisks) plug(name string, bytes int64, refusal string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	disk := disks.Disk{Name: name, Path: "/dev/" + name, SizeBytes: bytes, Hardware: true}
	if d.refusals == nil {
		d.refusals = map[string]string{}
	}
	d.refusals[name] = refusal
	d.put(disk)
}

func (d *fakeDisks) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *fakeDisks) checked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.checks
}

func (d *fakeDisks) put(disk disks.Disk) {
	d.disks = slices.DeleteFunc(d.disks, func(other disks.Disk) bool { return other.Name == disk.Name })
	d.disks = append(d.disks, disk)
	d.rig.manager.AddDisk(disk.Path, disk.SizeBytes)
}

func (d *fakeDisks) Names(patterns []string) ([]string, error) {
	matched, err := d.Match(patterns)
	var names []string
	for _, disk := range matched {
		names = append(names, disk.Name)
	}
	return names, err
}

func (d *fakeDisks) Match(patterns []string) ([]disks.Disk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.disks), func(disk disks.Disk) bool {
		return !slices.ContainsFunc(patterns, func(pattern string) bool {
			matches, _ := filepath.Match(pattern, disk.Path)
			return matches
		})
	}), nil
}

func (d *fakeDisks) Name(path string) (string, bool) { return strings.CutPrefix(path, "/dev/") }

func (d *fakeDisks) Check(_ context.Context, disk disks.Disk) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checks++
	return d.refusals[disk.Name], nil
}

func (d *fakeDisks) Attach(path string, sizeBytes int64) (disks.Disk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return disks.Disk{}, errors.New("the file system is full")
	}
	disk := disks.Disk{Name: "loop0", Path: "/dev/loop0", File: path, SizeBytes: sizeBytes}
	d.put(disk)
	return disk, nil
}

func (d *fakeDisks) Signature(_ context.Context, device string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.signatures[filepath.Base(device)], nil
}

const fromDisks = `
volumeGroups:
- name: vg1
  devices: [/dev/sd*]
deviceClasses:
- {name: ssd, volumeGroup: vg1}
`

// made is what LVM has of vg1.
func (r *rig) made() (lvm.VolumeGroup, []string) {
	r.t.Helper()
	report, err := r.manager.Report(r.t.Context(), []string{"vg1"})
	if err != nil {
		r.t.Fatal(err)
	}
	vg := report.VolumeGroups["vg1"]
	var names []string
	for _, pv := range vg.PhysicalVolumes {
		names = append(names, pv.Name)
	}
	return vg, names
}

func (r *rig) wantDisks(want ...string) {
	r.t.Helper()
	if vg, names := r.made(); !slices.Equal(names, want) || len(want) > 0 && !slices.Contains(vg.Tags, lvm.TagOwned) {
		r.t.Fatalf("vg1 with tags %v is made of %v, want %v", vg.Tags, names, want)
	}
}

// TestDisks makes a volume group of empty disks, leaves the others, and says why.
func TestDisks(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.writeConfig(fromDisks)
		r.disks.plug("sda", 4*gi, "it has partitions: sda1")
		r.disks.plug("sdb", 10*gi, "")
		r.disks.plug("sdc", 10*gi, "")
		r.disks.plug("vdx", 10*gi, "")
		r.start()
		r.wait(10 * time.Second)
		r.wantDisks("/dev/sdb", "/dev/sdc")
		vg := r.storage().Status.VolumeGroups[0]
		if !vg.Usable || vg.FreeBytes != 20*gi {
			t.Errorf("reported %+v, want 20 GiB to use", vg)
		}
		c := r.condition(v1alpha1.NodeStorageDevicesUsable)
		if c.Status != metav1.ConditionFalse || c.Message != "volume group vg1: /dev/sda: it has partitions: sda1" {
			t.Errorf("condition %+v, want it to tell why sda is left", c)
		}
		if !r.sawEvent("/dev/sda: it has partitions") {
			t.Error("no event tells why sda is left")
		}
		checks := r.disks.checked()
		if ran := r.executions(func() { r.wait(time.Minute) }); len(ran) != 0 || r.disks.checked() != checks {
			t.Errorf("when nothing changes: executions %v and %d checks, want none", ran, r.disks.checked()-checks)
		}
		r.disks.plug("sdd", 5*gi, "")
		r.wait(10 * time.Second)
		r.wantDisks("/dev/sdb", "/dev/sdc", "/dev/sdd")
		if r.sawEvent("partitions") {
			t.Error("the same refusal is told twice")
		}
		r.disks.plug("sda", 4*gi, "")
		r.wait(recheckEvery + 10*time.Second)
		r.wantDisks("/dev/sdb", "/dev/sdc", "/dev/sdd", "/dev/sda")
		if c := r.condition(v1alpha1.NodeStorageDevicesUsable); c.Status != metav1.ConditionTrue || c.Message != "" {
			t.Errorf("condition %+v, want it true", c)
		}
		r.writeConfig(oneClass)
		r.wait(10 * time.Second)
		for _, c := range r.storage().Status.Conditions {
			if c.Type == v1alpha1.NodeStorageDevicesUsable {
				t.Errorf("condition %+v although the configuration names no disks", c)
			}
		}
	})
}

// TestDisksOfOthers: a volume group that an operator made is extended when it says so.
func TestDisksOfOthers(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.manager.AddVolumeGroup("vg1", gi)
		r.writeConfig(fromDisks)
		r.disks.plug("sdb", 10*gi, "")
		r.start()
		r.wait(10 * time.Second)
		r.wantOnly("/dev/vg1-0")
		if c := r.condition(v1alpha1.NodeStorageDevicesUsable); !strings.Contains(c.Message, "vgchange --addtag berth.dev vg1") {
			t.Errorf("condition %+v, want it to tell what to do", c)
		}
		r.manager.Change("vg1", func(vg *lvm.VolumeGroup) { vg.Tags = append(vg.Tags, lvm.TagOwned) })
		r.wait(recheckEvery + 10*time.Second)
		r.wantDisks("/dev/vg1-0", "/dev/sdb")
	})
}

func (r *rig) wantOnly(want ...string) {
	r.t.Helper()
	if _, names := r.made(); !slices.Equal(names, want) {
		r.t.Fatalf("vg1 is made of %v, want %v", names, want)
	}
}

// TestDisksAway: while the disks of a volume group are away, none of its name is made of an empty one.
func TestDisksAway(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.writeConfig(strings.Replace(oneClass, "spare:", "devices: [/dev/sd*]\n  spare:", 1))
		r.start()
		r.create(order("v"))
		r.wait(5 * time.Second)
		r.wantReady("v")
		r.halt()
		r.manager.RemoveVolumeGroup("vg0")
		r.disks.plug("sdb", 10*gi, "")
		r.start()
		r.wait(10 * time.Minute)
		if c := r.condition(v1alpha1.NodeStorageDevicesUsable); !strings.Contains(c.Message, "volume v is in one of this name") {
			t.Errorf("condition %+v, want it to name the volume", c)
		}
		if ran := r.manager.Executions(); ran[lvmfake.CreateVolumeGroup] != 0 {
			t.Errorf("executions %v, want no volume group made", ran)
		}
	})
}

// TestDisksAfterALostReply: vgcreate did its work and nobody heard of it.
func TestDisksAfterALostReply(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.writeConfig(fromDisks)
		r.disks.plug("sdb", 10*gi, "")
		lost := false
		r.manager.SetHooks(nil, func(_ context.Context, operation lvmfake.Operation, _, _ string) error {
			if operation == lvmfake.CreateVolumeGroup && !lost {
				lost = true
				return lvm.ErrHung
			}
			return nil
		})
		r.start()
		r.wait(2 * time.Minute)
		r.wantDisks("/dev/sdb")
		if c := r.condition(v1alpha1.NodeStorageDevicesUsable); !lost || c.Status != metav1.ConditionTrue {
			t.Errorf("lost: %t, condition %+v, want it true", lost, c)
		}
	})
}

func TestLoopFile(t *testing.T) {
	const config = "volumeGroups:\n- name: vg1\n  loopFile: {path: /var/lib/berth/vg1.img, size: SIZE}\n"
	inBubble(t, func(r *rig) {
		r.disks.setFull(true)
		r.writeConfig(strings.Replace(config, "SIZE", "10Gi", 1))
		r.start()
		if c := r.condition(v1alpha1.NodeStorageDevicesUsable); c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "is full") {
			t.Errorf("condition %+v, want it to tell that the file cannot be made", c)
		}
		r.disks.setFull(false)
		r.wait(time.Minute)
		r.wantDisks("/dev/loop0")
		r.writeConfig(strings.Replace(config, "SIZE", "20Gi", 1))
		r.wait(10 * time.Second)
		if vg, _ := r.made(); vg.SizeBytes != 20*gi {
			t.Errorf("%d bytes, want 20 GiB", vg.SizeBytes)
		}
		r.halt()
		r.start()
		r.wait(10 * time.Second)
		r.wantDisks("/dev/loop0")
		if ran := r.manager.Executions(); ran[lvmfake.ResizePhysicalVolume] != 1 || ran[lvmfake.CreateVolumeGroup] != 1 {
			t.Errorf("executions %v, want one volume group made and one resize", ran)
		}
	})
}
