package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/disks"
	"github.com/berth-dev/berth/pkg/lvm"
)

// areaBytes is what a physical volume keeps for its metadata in front of the extents, as CreateVolumeGroup makes it.
const areaBytes = 17 << 20

// give puts an empty disk into a volume group, which is made if there is none. refusal says why a disk is left as it is.
//
// The disk is checked again right before LVM gets it, after the wait for the volume group's lock. LVM opens it
// exclusively itself and gives up where it finds a signature; between the two nothing but somebody who writes to a disk
// without opening it exclusively can come.
func (s *supply) give(ctx context.Context, c VolumeGroupConfig, disk disks.Disk) (refusal string, err error) {
	o, _ := s.groups.observed(c.Name)
	if pv, ok := s.member(o.vg, disk); ok {
		return "", s.resize(ctx, o.vg, pv, disk)
	}
	if refusal, err := s.disks.Check(ctx, disk); refusal != "" || err != nil {
		return refusal, err
	}
	unlock, err := s.groups.lock(ctx, c.Name)
	if err != nil {
		return "", err
	}
	defer unlock()
	vg, err := s.groups.current(ctx, c.Name)
	if err != nil && !errors.Is(err, lvm.ErrNotFound) {
		return "", err
	}
	found := err == nil
	if _, ok := s.member(vg, disk); ok { // a command of before, of whose end nobody heard
		return "", nil
	}
	if refusal := s.closed(c.Name, vg, found); refusal != "" {
		return refusal, nil
	}
	if refusal, err := s.disks.Check(ctx, disk); refusal != "" || err != nil {
		return refusal, err
	}
	if found {
		err = s.groups.manager.ExtendVolumeGroup(ctx, c.Name, []string{disk.Path})
	} else {
		err = s.groups.manager.CreateVolumeGroup(ctx, c.Name, []string{disk.Path})
	}
	if isRefusal(err) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	klog.FromContext(ctx).Info("Disk is put into the volume group", "device", disk.Path, "size", exactBytes(disk.SizeBytes), "new", !found)
	return "", s.groups.report(ctx)
}

// closed says why a volume group takes no disks, or why none is made.
func (s *supply) closed(name string, vg lvm.VolumeGroup, found bool) string {
	if !found {
		if volume := s.livesIn(name); volume != "" {
			return fmt.Sprintf("it is empty, and no volume group is made of it: volume %s is in one of this name, whose disks are away", volume)
		}
		return ""
	}
	if reason := vg.Unusable(); reason != "" {
		return "it is empty, and the volume group takes no disks: " + reason
	}
	if !slices.Contains(vg.Tags, lvm.TagOwned) {
		return fmt.Sprintf("it is empty, and the volume group was not made by Berth: vgchange --addtag %s %s lets it be extended", lvm.TagOwned, name)
	}
	return ""
}

// member finds a disk among a volume group's physical volumes, whatever LVM calls it.
func (s *supply) member(vg lvm.VolumeGroup, disk disks.Disk) (lvm.PhysicalVolume, bool) {
	for _, pv := range vg.PhysicalVolumes {
		if name, ok := s.disks.Name(pv.Name); ok && name == disk.Name {
			return pv, true
		}
	}
	return lvm.PhysicalVolume{}, false
}

// resize makes a physical volume as large as a disk that grew, once for each size: what LVM then leaves unused it has its
// reasons for.
func (s *supply) resize(ctx context.Context, vg lvm.VolumeGroup, pv lvm.PhysicalVolume, disk disks.Disk) error {
	s.mu.Lock()
	done := s.resized[disk.Name] == disk.SizeBytes
	s.mu.Unlock()
	grown := disk.SizeBytes-pv.SizeBytes >= areaBytes+2*vg.ExtentSizeBytes
	if done || !grown || vg.Unusable() != "" || !slices.Contains(vg.Tags, lvm.TagOwned) {
		return nil
	}
	unlock, err := s.groups.lock(ctx, vg.Name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.groups.manager.ResizePhysicalVolume(ctx, vg.Name, pv.Name); err != nil {
		return err
	}
	s.mu.Lock()
	s.resized[disk.Name] = disk.SizeBytes
	s.mu.Unlock()
	klog.FromContext(ctx).Info("Physical volume is as large as its disk", "device", disk.Path, "size", exactBytes(disk.SizeBytes))
	return s.groups.report(ctx)
}
