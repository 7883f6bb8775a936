package prepare

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/berth-dev/berth/test/lab/image"
)

// driverPackages are the Debian packages of the driver image; apt adds what they depend on. The list is that of
// the Dockerfile.
var driverPackages = []string{
	"base-files", "base-passwd", "coreutils", "dash",
	"lvm2", "thin-provisioning-tools", "e2fsprogs", "xfsprogs", "btrfs-progs", "cryptsetup-bin", "util-linux", "mount",
}

// unused matches packages that are dependencies of scripts which the driver never runs, half the size of the image.
var unused = regexp.MustCompile(`^(lib)?python3|^media-types_|^debconf_`)

// driverRootLayer is the root file system under the driver: the packages, unpacked and not configured. Mirrors
// come from the machine's own apt configuration.
func (p *Preparer) driverRootLayer(ctx context.Context) (image.Layer, error) {
	if p.driverRoot != nil {
		return *p.driverRoot, nil
	}
	layer, err := p.findDriverRoot(ctx)
	if err != nil && ctx.Err() == nil {
		// apt's lists are missing, or so old that the mirror no longer has what they name.
		p.Progress("updating apt's package lists")
		if output, updateErr := exec.CommandContext(ctx, "apt-get", "update").CombinedOutput(); updateErr != nil {
			return image.Layer{}, errors.Join(err, fmt.Errorf("apt-get update: %w: %s", updateErr, output))
		}
		layer, err = p.findDriverRoot(ctx)
	}
	if err == nil {
		p.driverRoot = &layer
	}
	return layer, err
}

func (p *Preparer) findDriverRoot(ctx context.Context) (image.Layer, error) {
	files, err := packageFiles(ctx)
	if err != nil {
		return image.Layer{}, err
	}
	return p.makeDriverRoot(ctx, files)
}

func (p *Preparer) makeDriverRoot(ctx context.Context, files []string) (image.Layer, error) {
	return p.cachedLayer("driver-root", key(files...), func(path string) (image.Layer, error) {
		dir, err := os.MkdirTemp(p.layers(), ".root-")
		if err != nil {
			return image.Layer{}, err
		}
		defer os.RemoveAll(dir)
		archives, root := filepath.Join(dir, "archives"), filepath.Join(dir, "root")
		p.Progress("downloading %d Debian packages for the driver image", len(files))
		if err := downloadPackages(ctx, archives); err != nil {
			return image.Layer{}, err
		}
		if err := unpackAll(ctx, archives, files, root); err != nil {
			return image.Layer{}, err
		}
		return image.WriteTreeLayer(path, root)
	})
}

// aptInstall asks apt as if nothing were installed, so that it names every dependency.
func aptInstall(options ...string) []string {
	args := []string{"-o", "Dir::State::status=/dev/null", "--yes", "--no-install-recommends"}
	args = append(args, options...)
	return append(append(args, "install"), driverPackages...)
}

var uriLine = regexp.MustCompile(`(?m)^'[^']*' (\S+\.deb) `)

// packageFiles returns the file names of the packages in the versions that apt would install now.
func packageFiles(ctx context.Context) ([]string, error) {
	output, err := exec.CommandContext(ctx, "apt-get", aptInstall("--print-uris")...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("apt-get cannot find the packages of the driver image: %s", exit.Stderr)
		}
		return nil, err
	}
	return parseURIs(string(output)), nil
}

// parseURIs reads what "apt-get --print-uris" says and leaves the unused packages out.
func parseURIs(output string) []string {
	var files []string
	for _, match := range uriLine.FindAllStringSubmatch(output, -1) {
		if !unused.MatchString(match[1]) {
			files = append(files, match[1])
		}
	}
	return files
}

func downloadPackages(ctx context.Context, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
		return err
	}
	args := aptInstall("--download-only", "-o", "Dir::Cache::archives="+dir, "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1")
	output, err := exec.CommandContext(ctx, "apt-get", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("download packages: %w: %s", err, output)
	}
	return nil
}

// unpackAll lays the packages over each other. Debian's merged /usr is set up first, as its installer does.
func unpackAll(ctx context.Context, archives string, files []string, root string) error {
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(root, "usr", dir), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+dir, filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	for _, file := range files {
		if err := unpack(ctx, filepath.Join(archives, file), root); err != nil {
			return err
		}
	}
	if err := os.Symlink("dash", filepath.Join(root, "usr", "bin", "sh")); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, dir := range []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"} {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	return nil
}

// unpack pipes one package through tar, which keeps the links of the merged /usr; dpkg-deb -x would replace them.
func unpack(ctx context.Context, file, root string) error {
	from := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", file)
	to := exec.CommandContext(ctx, "tar", "-x", "--keep-directory-symlink", "-C", root)
	pipe, err := from.StdoutPipe()
	if err != nil {
		return err
	}
	var complaints strings.Builder
	to.Stdin, to.Stderr, from.Stderr = pipe, &complaints, &complaints
	if err := from.Start(); err != nil {
		return err
	}
	err = errors.Join(to.Run(), from.Wait())
	if err != nil {
		return fmt.Errorf("unpack %s: %w: %s", filepath.Base(file), err, complaints.String())
	}
	return nil
}
