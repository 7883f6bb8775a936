package nodeos

import (
	"os"
	"path/filepath"
)

// freshen makes files of the host that a command names visible as they are now. The overlay remembers what it once
// looked up below it, a missing file too, and does not see that the host has replaced the file since.
func freshen(args []string) {
	for _, arg := range args {
		if filepath.IsAbs(arg) && stale(arg) {
			const pagesAndEntries = "3"
			if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte(pagesAndEntries), 0); err != nil {
				say("drop caches: %v", err)
			}
			return
		}
	}
}

// stale reports whether a regular file of the host looks different through the overlay. A file that the node itself
// has changed looks different too; dropping caches then does no harm.
func stale(path string) bool {
	host, err := os.Stat(hostMount + path)
	if err != nil || !host.Mode().IsRegular() {
		return false
	}
	seen, err := os.Stat(path)
	return err != nil || seen.Size() != host.Size() || !seen.ModTime().Equal(host.ModTime())
}
