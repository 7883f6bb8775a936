//go:build lab

package benchmark

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// directory is where volumes are staged and published: the agent's container has it under the same path.
const directory = "/var/lib/kubelet/plugins/lvm.berth.dev/bench"

// mounted is a volume on its way through its life, call by call.
type mounted struct {
	services
	t      *testing.T
	volume volume
	name   string

	volumeID, snapshotID string
}

func (m *mounted) stagingPath() string { return filepath.Join(directory, m.name, "stage") }
func (m *mounted) targetPath() string  { return filepath.Join(directory, m.name, "publish") }

func (m *mounted) create() (err error) {
	m.volumeID, err = m.services.create(m.t.Context(), m.name, m.volume)
	return err
}

func (m *mounted) stage() error {
	if err := os.MkdirAll(m.stagingPath(), 0o755); err != nil {
		return err
	}
	_, err := m.node.NodeStageVolume(m.t.Context(), &csi.NodeStageVolumeRequest{
		VolumeId: m.volumeID, StagingTargetPath: m.stagingPath(), VolumeCapability: m.volume.capability(),
	})
	return err
}

func (m *mounted) publish() error {
	_, err := m.node.NodePublishVolume(m.t.Context(), &csi.NodePublishVolumeRequest{
		VolumeId: m.volumeID, StagingTargetPath: m.stagingPath(), TargetPath: m.targetPath(), VolumeCapability: m.volume.capability(),
	})
	return err
}

func (m *mounted) stats() error {
	_, err := m.node.NodeGetVolumeStats(m.t.Context(), &csi.NodeGetVolumeStatsRequest{VolumeId: m.volumeID, VolumePath: m.targetPath()})
	return err
}

func (m *mounted) snapshot() error {
	reply, err := m.controller.CreateSnapshot(m.t.Context(), &csi.CreateSnapshotRequest{SourceVolumeId: m.volumeID, Name: m.name + "-snapshot"})
	m.snapshotID = reply.GetSnapshot().GetSnapshotId()
	return err
}

func (m *mounted) removeSnapshot() error {
	_, err := m.controller.DeleteSnapshot(m.t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: m.snapshotID})
	return err
}

func (m *mounted) expand() error {
	_, err := m.controller.ControllerExpandVolume(m.t.Context(), &csi.ControllerExpandVolumeRequest{
		VolumeId: m.volumeID, CapacityRange: &csi.CapacityRange{RequiredBytes: 2 * m.volume.bytes}, VolumeCapability: m.volume.capability(),
	})
	return err
}

func (m *mounted) expandNode() error {
	_, err := m.node.NodeExpandVolume(m.t.Context(), &csi.NodeExpandVolumeRequest{
		VolumeId: m.volumeID, VolumePath: m.targetPath(), StagingTargetPath: m.stagingPath(),
		CapacityRange: &csi.CapacityRange{RequiredBytes: 2 * m.volume.bytes}, VolumeCapability: m.volume.capability(),
	})
	return err
}

func (m *mounted) unpublish() error {
	_, err := m.node.NodeUnpublishVolume(m.t.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: m.volumeID, TargetPath: m.targetPath()})
	return err
}

func (m *mounted) unstage() error {
	_, err := m.node.NodeUnstageVolume(m.t.Context(), &csi.NodeUnstageVolumeRequest{VolumeId: m.volumeID, StagingTargetPath: m.stagingPath()})
	return err
}

func (m *mounted) remove() error {
	if err := os.RemoveAll(filepath.Join(directory, m.name)); err != nil {
		return err
	}
	return m.services.remove(m.t.Context(), m.volumeID)
}
