package qos

import (
	"errors"
	"fmt"
	"slices"
)

// Host is the door to the mounts and cgroups of one host.
type Host struct {
	cgroupRoot, mountInfo string
	// device finds the number of a device node.
	device func(path string) (Device, bool)
}

// NewHost returns this host's. cgroupRoot is the directory, in a cgroup v2 hierarchy, that holds the kubelet's kubepods.
func NewHost(cgroupRoot string) *Host {
	return &Host{cgroupRoot: cgroupRoot, mountInfo: "/proc/self/mountinfo", device: blockDevice}
}

// Volume is what is to be limited.
type Volume struct {
	ID string
	// Devices are the nodes by which pods may use the volume; those that are not there do not matter.
	Devices []string
	Limits  Limits
}

// Result is how it went with one volume.
type Result struct {
	ID string
	// Waiting is true when the cgroup of a pod is not there yet.
	Waiting bool
	// Err is why a pod has not got its limits.
	Err error
}

// Apply holds all pods that use the volumes to the volumes' limits. What is right already is left alone.
func (h *Host) Apply(volumes []Volume) ([]Result, error) {
	users, err := h.users()
	if err != nil {
		return nil, err
	}
	results := make([]Result, 0, len(volumes))
	for _, volume := range volumes {
		results = append(results, h.apply(volume, users))
	}
	return results, nil
}

func (h *Host) apply(volume Volume, users map[Device][]string) Result {
	result := Result{ID: volume.ID}
	var errs []error
	for _, path := range volume.Devices {
		device, ok := h.device(path)
		if !ok {
			continue
		}
		for _, pod := range unique(users[device]) {
			err := limit(h.cgroupRoot, pod, device, volume.Limits)
			if errors.Is(err, errWaiting) {
				result.Waiting = true
			} else if err != nil {
				errs = append(errs, fmt.Errorf("pod %s: %w", pod, err))
			}
		}
	}
	result.Err = errors.Join(errs...)
	return result
}

func unique(pods []string) []string {
	pods = slices.Clone(pods)
	slices.Sort(pods)
	return slices.Compact(pods)
}
