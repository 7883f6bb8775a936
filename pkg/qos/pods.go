package qos

import (
	"fmt"
	"regexp"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// published are the paths where the kubelet has CSI volumes mounted for a pod (pkg/volume/csi), with the pod's UID: file
// systems, block devices, and block devices in the pod's own directory.
var published = []*regexp.Regexp{
	regexp.MustCompile(`/pods/([^/]+)/volumes/kubernetes\.io~csi/[^/]+/mount$`),
	regexp.MustCompile(`/volumeDevices/publish/[^/]+/([^/]+)$`),
	regexp.MustCompile(`/pods/([^/]+)/volumeDevices/kubernetes\.io~csi/[^/]+$`),
}

// podOf finds the UID of the pod for which something is mounted at path.
func podOf(path string) (uid string, ok bool) {
	for _, pattern := range published {
		if match := pattern.FindStringSubmatch(path); match != nil {
			return match[1], true
		}
	}
	return "", false
}

// users lists the pods that use each device.
func (h *Host) users() (map[Device][]string, error) {
	infos, err := mount.ParseMountInfo(h.mountInfo)
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	users := map[Device][]string{}
	for i := range infos {
		pod, ok := podOf(infos[i].MountPoint)
		if !ok {
			continue
		}
		if device, ok := h.device(behind(&infos[i])); ok {
			users[device] = append(users[device], pod)
		}
	}
	return users, nil
}

// behind is the node of the device that is mounted. A mount's own device number is another one for btrfs. A bound device
// node is a mount of the file system that the node is in, with the node as its root.
func behind(info *mount.MountInfo) string {
	if info.Root != "/" && (info.FsType == "devtmpfs" || info.FsType == "tmpfs") {
		return info.MountPoint
	}
	return info.Source
}

// blockDevice is the number of a device node.
func blockDevice(path string) (Device, bool) {
	var stat unix.Stat_t
	if path == "" || path[0] != '/' || unix.Stat(path, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return Device{}, false
	}
	return Device{unix.Major(stat.Rdev), unix.Minor(stat.Rdev)}, true
}
