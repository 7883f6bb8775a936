package qos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Errors of a Host, as people read them in events.
var (
	errNoPods       = errors.New("no cgroup kubepods or kubepods.slice: is it the host's cgroup v2, and the directory that the kubelet's cgroups are in?")
	errNoController = errors.New("the io controller is off here: cgroup.subtree_control of a cgroup above lacks io")
	// errWaiting: the kubelet has not made the pod's cgroup yet, or has removed it.
	errWaiting = errors.New("no cgroup for the pod")
)

// podDirectory finds the cgroup of a pod: that of the kubelet's cgroupfs driver, or of its systemd driver, in any quality
// of service class.
// Errors: errWaiting, errNoPods.
func podDirectory(root, uid string) (string, error) {
	escaped := strings.ReplaceAll(uid, "-", "_")
	for _, candidate := range []string{
		"kubepods/pod" + uid,
		"kubepods/burstable/pod" + uid,
		"kubepods/besteffort/pod" + uid,
		"kubepods.slice/kubepods-pod" + escaped + ".slice",
		"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + escaped + ".slice",
		"kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + escaped + ".slice",
	} {
		directory := filepath.Join(root, candidate)
		if isDirectory(directory) {
			return directory, nil
		}
	}
	if !isDirectory(filepath.Join(root, "kubepods")) && !isDirectory(filepath.Join(root, "kubepods.slice")) {
		return "", fmt.Errorf("%s: %w", root, errNoPods)
	}
	return "", errWaiting
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// limit sets a pod's limits on one device, unless it has them.
// Errors: errWaiting, errNoPods, errNoController, those of the kernel.
func limit(root, uid string, device Device, limits Limits) error {
	directory, err := podDirectory(root, uid)
	if err != nil {
		return err
	}
	path := filepath.Join(directory, "io.max")
	content, err := os.ReadFile(path)
	if err == nil {
		err = change(path, string(content), device, limits)
	}
	switch {
	case err == nil:
		return nil
	case !isDirectory(directory):
		return errWaiting
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", directory, errNoController)
	}
	return err
}

func change(path, content string, device Device, limits Limits) error {
	current, err := limitsOf(content, device)
	if err != nil {
		return err
	}
	limits = limits.kernel()
	if current == limits {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(limits.line(device))
	return errors.Join(err, file.Close())
}
