package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// hostPackages are the Debian packages that the lab uses, with a file that shows that each is installed.
var hostPackages = map[string]string{
	"user-mode-linux":             "/usr/bin/linux.uml",
	"lvm2":                        "/usr/sbin/lvm",
	"thin-provisioning-tools":     "/usr/sbin/thin_check",
	"xfsprogs":                    "/usr/sbin/mkfs.xfs",
	"btrfs-progs":                 "/usr/bin/btrfs",
	"e2fsprogs":                   "/usr/sbin/mkfs.ext4",
	"cryptsetup-bin":              "/usr/sbin/cryptsetup",
	"runc":                        "/usr/sbin/runc",
	"containernetworking-plugins": "/usr/lib/cni/bridge",
	"iproute2":                    "/usr/bin/ip",
	"kmod":                        "/usr/sbin/modprobe",
	"busybox-static":              "/bin/busybox",
}

// checkHost returns why a lab cannot run here, one sentence that says what to do.
func checkHost() error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("the lab runs on linux/amd64 only, and this is %s/%s: use such a machine", runtime.GOOS, runtime.GOARCH)
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root for namespaces and network devices: run it with sudo")
	}
	if file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		return fmt.Errorf("the lab needs /dev/net/tun for its nodes' network (%w): load the tun module with modprobe tun", err)
	} else {
		file.Close()
	}
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("the lab builds Kubernetes from source and finds no go command: install Go and put it on PATH")
	}
	return nil
}

// missingPackages returns the Debian packages whose file is absent.
func missingPackages() []string {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(hostPackages)) {
		if _, err := os.Stat(hostPackages[name]); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// installPackages installs what is missing. It fetches package lists only when apt does not know the packages.
func installPackages(ctx context.Context, progress Progress) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("the lab needs the Debian packages %s and finds no apt-get: run it on Debian or install their equivalents", strings.Join(missing, ", "))
	}
	progress("installing the Debian packages %s", strings.Join(missing, " "))
	install := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
	if apt(ctx, install...) != nil {
		progress("updating apt's package lists")
		if err := apt(ctx, "update"); err != nil {
			return err
		}
		if err := apt(ctx, install...); err != nil {
			return err
		}
	}
	if still := missingPackages(); len(still) > 0 {
		return fmt.Errorf("apt-get did not bring %s: install them by hand", strings.Join(still, ", "))
	}
	return nil
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}
