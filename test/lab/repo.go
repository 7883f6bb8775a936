package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const modulePath = "github.com/berth-dev/berth"

// FindRepo returns the root of the project's checkout: dir itself, or, when dir is empty, the one that contains the
// working directory.
func FindRepo(dir string) (string, error) {
	if dir != "" {
		if !isRepo(dir) {
			return "", fmt.Errorf("%s is no checkout of %s", dir, modulePath)
		}
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if isRepo(dir) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the working directory is in no checkout of " + modulePath + ": change into one or give --repo")
		}
	}
}

func isRepo(dir string) bool {
	content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	line, _, _ := bytes.Cut(content, []byte("\n"))
	return err == nil && string(bytes.TrimSpace(line)) == "module "+modulePath
}
